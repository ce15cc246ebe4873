using CudaSae.Bench.Scale;
using CudaSae.Cli;

namespace CudaSae.Tests;

/// <summary>The predicted steps of sharded training.</summary>
public class ScaleTests
{
    static readonly int[] Gpus = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

    static ScaleModel Model(int latents, int gpus, ScaleMachine? machine = null) =>
        new(new(8192, 4096, latents, 64), gpus, machine ?? new());

    static void Near(double expected, double actual, double tolerance = 1e-4) =>
        Assert.InRange(actual, expected * (1 - tolerance), expected * (1 + tolerance));

    /// <summary>All values were calculated by hand from the rates and the formulas of the design.</summary>
    [Fact]
    public void AMillionLatentsOn64GpusAreAsByHand()
    {
        var model = Model(1 << 20, 64);
        Assert.Equal(16_384, model.Latents);
        Near(1_610_612_736, model.StateBytes);
        Near(178_999_296, model.NvlinkBytes);       // 7/8 of 134,217,728 + 67,108,864 + 2,195,456 + 1,048,576
        Near(22_374_912, model.NetworkBytes);       // 7/8 of an eighth of them
        Near(1.83252, model.EncodeMs());
        Near(1.13125, model.UpdateMs);
        Near(0.0942704, model.GatherMs);
        Near(0.353514, model.RowMs);
        Near(0.840941, model.ExchangeMs);
        Near(0.00433266, model.BiasMs);
        Near(0.52, model.LatencyMs);
        Near(4.77683, model.SerialMs);
        Near(4.77683 - 7 / 8.0 * 0.840941, model.OverlappedMs);
        Near(194.560 / 64 / 4.77683, model.Efficiency(model.SerialMs));
    }

    /// <summary>Directly between all GPUs, a network card receives eight times the bytes.</summary>
    [Fact]
    public void AFlatExchangeIsBoundByTheNetwork()
    {
        var (model, levels) = (Model(1 << 20, 64, new() { Flat = true }), Model(1 << 20, 64));
        Near(levels.NvlinkBytes, model.NetworkBytes);
        Near(levels.NetworkBytes, model.NvlinkBytes);
        Near(203_522_048.0 * 56 / 64 / 50e6, model.ExchangeMs);
    }

    [Theory, InlineData(4, MomentStorage.Float32), InlineData(2, MomentStorage.BFloat16),
        InlineData(1, MomentStorage.Int8)]
    public void OneGpuHasTheCostModelsWorkAndNoExchange(int bytes, MomentStorage moments)
    {
        var model = Model(1 << 20, 1, new() { MomentBytes = bytes });
        Assert.Equal(0, model.NvlinkBytes + model.NetworkBytes + model.ExchangeMs + model.BiasMs + model.LatencyMs);
        Assert.Equal(model.SerialMs, model.OverlappedMs);
        Assert.Equal(1, model.Efficiency(model.SerialMs));

        var cost = StepCost.Of(
            new() { InputWidth = 4096, Latents = 1 << 20, Selection = new Selection.TopK(64) },
            new() { BatchRows = 8192, Moments = moments }, device: true);
        Assert.Equal(cost[StepPhase.Encode].Flops, model.EncodeFlops);
        Assert.Equal(cost[StepPhase.Encode].Bytes, model.EncodeBytes());
        Assert.Equal(cost[StepPhase.Decode].Bytes + cost[StepPhase.Optimize].Bytes,
            model.UpdateBytes + model.GatherBytes);
        Assert.Equal(cost[StepPhase.Prepare].Bytes + 20.0 * 8192 * 4096, model.RowBytes);
        var machine = new Ceilings(model.Machine.EncodeTflops * 1e3, model.Machine.HbmGBps);
        Assert.InRange(cost[StepPhase.Backward].FloorMs(machine) + cost[StepPhase.Latents].FloorMs(machine), 0,
            1e-4 * model.SerialMs);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void EfficiencyFallsWithTheNumberOfGpus(bool flat)
    {
        foreach (var latents in new[] { 1 << 20, 1 << 24 })
        {
            ScaleModel[] models = [.. Gpus.Select(p => Model(latents, p, new() { Flat = flat }))];
            foreach (var (fewer, more) in models.Zip(models.Skip(1)))
            {
                Assert.True(more.Efficiency(more.SerialMs) < fewer.Efficiency(fewer.SerialMs));
                Assert.True(more.Efficiency(more.OverlappedMs) < fewer.Efficiency(fewer.OverlappedMs));
                Assert.True(more.OverlappedMs < more.SerialMs);
            }
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public void FasterHardwareNeverSlowsAStep(bool flat)
    {
        var slow = new ScaleMachine { Flat = flat };
        ScaleMachine[] faster =
        [
            slow with { NvlinkGBps = 2 * slow.NvlinkGBps }, slow with { NetworkGBps = 2 * slow.NetworkGBps },
            slow with { HbmGBps = 2 * slow.HbmGBps }, slow with { EncodeTflops = 2 * slow.EncodeTflops },
        ];
        foreach (var gpus in Gpus)
            foreach (var fast in faster)
            {
                var (before, after) = (Model(1 << 20, gpus, slow), Model(1 << 20, gpus, fast));
                Assert.True(after.SerialMs <= before.SerialMs);
                Assert.True(after.OverlappedMs <= before.OverlappedMs);
            }
    }

    /// <summary>The encoder takes as long as the exchange at n/P = 4 F/W if all bytes of two float32 rows cross one
    /// link of W bytes a second.</summary>
    [Theory]
    [InlineData(1024, 450, 1, 8192, 4096, 5333)]        // one node
    [InlineData(1, 450, 50, 8192, 4096, 48_000)]        // a GPU a node
    [InlineData(1, 450, 50, 1024, 768, 48_000)]
    public void ParityIs4FOverW(int nodeGpus, double nvlink, double network, int rows, int width, int parity)
    {
        var machine = new ScaleMachine
        {
            NodeGpus = nodeGpus, NvlinkGBps = nvlink, NetworkGBps = network, ResidualBytes = 4,
        };
        var model = new ScaleModel(new(rows, width, parity * 1024, 1), 1024, machine);
        Near(parity, model.ParityLatents, 0.005);
        Near(model.EncodeMs(), model.ExchangeMs, 0.005);
        Assert.InRange(Model(1 << 24, 512).ParityLatents, 7500, 8500);
    }
}
