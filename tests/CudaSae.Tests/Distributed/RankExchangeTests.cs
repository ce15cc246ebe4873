using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Distributed;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The sums of floats over emulated devices.</summary>
[Collection("emulator")]
public class RankExchangeTests
{
    static readonly SaeSpec Spec = new() { InputWidth = 40, Latents = 256, Selection = new Selection.TopK(4) };
    static readonly TrainConfig Config = new() { BatchRows = 5, Vectors = 500 };
    static readonly int Length = Config.BatchRows * 64;     // [B, lo]

    /// <summary>Numbers of which different orders have different sums.</summary>
    static float[] Numbers(int rank)
    {
        var random = new Random(rank + 1);
        return [.. Enumerable.Range(0, Length)
            .Select(_ => (random.NextSingle() - 0.5f) * MathF.Exp(random.Next(-9, 9)))];
    }

    /// <summary>The sum over each machine in the order of its ranks, then over the machines, plus the last
    /// number.</summary>
    static float Sum(int ranks, int machineSize, int i, float last)
    {
        float all = 0;
        for (var machine = 0; machine < ranks; machine += machineSize)
        {
            var sum = Numbers(machine)[i];
            for (var rank = machine + 1; rank < machine + machineSize; rank++) sum += Numbers(rank)[i];
            all = machine == 0 ? sum : all + sum;
        }
        return all + last;
    }

    [Theory]
    [InlineData(2, 2), InlineData(3, 3), InlineData(4, 1), InlineData(4, 2), InlineData(4, 4), InlineData(6, 3)]
    public void SumsHaveTheStatedOrder(int ranks, int machineSize)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var start = Numbers(-1);
        var expected = Enumerable.Range(0, Length).Select(i => Sum(ranks, machineSize, i, start[i])).ToArray();
        if (machineSize is > 1 and < 6 && machineSize < ranks)
            Assert.NotEqual(expected,
                Enumerable.Range(0, Length).Select(i => Sum(ranks, ranks, i, start[i])).ToArray());
        foreach (var sums in EmulatorRanks.Run(ranks, (8, 0), 4, rank => Add(rank, start), machineSize))
            Assert.Equal(expected, sums);
    }

    static float[] Add(EmulatedRank rank, float[] start)
    {
        using var device = rank.OpenDevice();
        using var owned = new Owned(device);
        var plan = new ShardPlan(rank.Collective, Spec, SumOrder.Ordered);
        var counting = new DeviceArena();
        _ = new KernelContext(null, 0, counting, Spec, Config, InputType.Float32, plan);
        var stream = owned.Stream();
        var link = owned.Add(rank.Connect(device));
        var context = new KernelContext(device, stream, owned.Add(new DeviceArena(device, counting.Plan)), Spec, Config,
            InputType.Float32, plan, link);
        var length = context.Padded(Length);
        DeviceArray<float> numbers = new(owned.Memory(4 * length), length);
        DeviceArray<float> last = new(owned.Memory(4 * Length), Length);
        device.Fill32(numbers.Pointer, 0, length, stream);
        device.Upload<float>(numbers.Pointer, Numbers(rank.Rank), stream);
        device.Upload<float>(last.Pointer, start, stream);
        context.Ranks!.Add(numbers, last);
        var sums = new float[Length];
        device.Download<float>(sums, numbers.Pointer, stream);
        return sums;
    }
}
