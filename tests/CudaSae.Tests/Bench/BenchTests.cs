using CudaSae.Bench.Tables;
using CudaSae.Cli;

namespace CudaSae.Tests;

/// <summary>The costs that cudasae bench counts, and its tables, which are read as written.</summary>
public class BenchTests
{
    /// <summary>Milliseconds of a model calculated by hand in advance, at 790 TFLOP/s and 4.3 TB/s: encode, the
    /// decoder's gather, the two gathers of the gradients, Adam at 24 bytes a weight.</summary>
    [Theory]
    [InlineData(4096, 768, 24576, 32, 0.196, 0.047, 0.094, 0.211)]
    [InlineData(8192, 2304, 65536, 64, 3.13, 0.56, 1.12, 1.69)]
    [InlineData(8192, 4096, 1 << 20, 64, 89.1, 1.00, 2.0, 47.9)]
    [InlineData(32768, 4096, 131072, 64, 44.5, 4.0, 8.0, 6.0)]
    public void CostsMatchTheModel(int rows, int width, int latents, int active, double encode, double decode,
        double gathers, double adam)
    {
        var spec = new SaeSpec { InputWidth = width, Latents = latents, Selection = new Selection.TopK(active) };
        var config = new TrainConfig { BatchRows = rows };
        var (cost, machine) = (StepCost.Of(spec, config, device: true), new Ceilings(790_000, 4300));
        Near(encode, cost[StepPhase.Encode].FloorMs(machine));
        Near(decode, cost[StepPhase.Decode].FloorMs(machine));
        Near(gathers + adam, cost[StepPhase.Optimize].FloorMs(machine));
        Near(2.0 * rows * width * latents, cost[StepPhase.Encode].Flops);
        Assert.InRange(cost.FloorMs(machine), encode + decode + gathers + adam,
            1.05 * (encode + decode + gathers + adam));

        // Latents without an entry are not read: a share of 1 - e^(-B k / n) is read when all fire alike.
        var lazy = StepCost.Of(spec, config with { Beta1 = 0, Lazy = true }, device: true)[StepPhase.Optimize].Bytes;
        Near(1 - Math.Exp(-(double)rows * active / latents), (lazy - gathers * 4.3e9) / (adam * 4.3e9 * 16 / 24), 0.04);

        static void Near(double expected, double actual, double tolerance = 0.02) =>
            Assert.InRange(actual, expected * (1 - tolerance), expected * (1 + tolerance));
    }

    [Fact]
    public void FloorsUseTheBestCeilingsOfACall()
    {
        BenchMachine Machine(double gemm, double copy) => new("cpu", "m", "d", "v", new(2026, 11, 21), new(gemm, copy));
        BenchRow Row(string name, int n, double flops, double bytes) =>
            new()
            {
                Bench = "sweep", Name = name, Shape = new(1, 2, n, 1), Time = new(4, 4, 4, 20), Flops = flops,
                Bytes = bytes, FloorMs = -1
            };
        var rows = BenchFloors.ByBestCeilings(
        [
            (Machine(1000, 10), Row("n/encode", 8, 2e9, 1e6)), (Machine(1000, 10), Row("n/decode", 8, 1, 1e8)),
            (Machine(1000, 10), Row("n/step", 8, 0, 0)),
            (Machine(500, 50), Row("n/encode", 16, 4e9, 1e6)), (Machine(500, 50), Row("n/step", 16, 0, 0)),
        ]);
        Assert.Equal([2, 2, 4, 4, 4], rows.Select(one => one.Row.FloorMs));     // 10⁹ flops a millisecond, 5·10⁷ bytes
        Assert.All(rows, one => Assert.Equal(new Ceilings(1000, 50), one.Machine.Ceilings));
        Assert.Equal(100, rows[2].Row.PercentOfCeiling);
    }

    [Fact]
    public void TablesAreReadAsWritten()
    {
        using var folder = new TemporaryFolder();
        var machine = new BenchMachine("cpu", "some, \"quoted\" machine", "10.0", "0.1.0", new(2026, 11, 21),
            new(412.5, 23.25));
        BenchRow[] rows =
        [
            new()
            {
                Bench = "kernels", Name = "encode", Shape = new(8, 16, 32, 4), Time = new(1.5, 1.25, 3, 20),
                Flops = 8192, Bytes = 1024, FloorMs = 0.75, Tokens = 8, MaxError = 1e-7,
                Checksum = (1, 0xfedcba9876543210), Memory = (1L << 40, 7)
            },
            new() { Bench = "ladder", Name = "rung", Shape = new(1, 2, 3, 4, 5), Note = "no time" },
        ];
        BenchCsv.Write(folder["bench.csv"], rows.Select(row => (machine, row)));
        Assert.Equal(rows.Select(row => (machine, row)), BenchCsvReader.Read(folder["bench.csv"]));
        Assert.Equal((false, null), (rows[0].Repeatable, rows[1].Repeatable));
        Assert.Equal(50, rows[0].PercentOfCeiling);

        File.WriteAllLines(folder["other.csv"], ["a,b", "1,2"]);
        Assert.Contains("date", Assert.Throws<SaeException>(() => BenchCsvReader.Read(folder["other.csv"])).Message);
        File.WriteAllText(folder["bad.csv"], File.ReadAllText(folder["bench.csv"]).Replace("1.25", "x"));
        Assert.Contains("line 2", Assert.Throws<SaeException>(() => BenchCsvReader.Read(folder["bad.csv"])).Message);
    }
}
