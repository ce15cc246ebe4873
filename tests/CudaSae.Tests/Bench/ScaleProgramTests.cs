using System.Text.Json;

namespace CudaSae.Tests;

/// <summary>The output of cudasae-bench scale.</summary>
[Trait("speed", "slow")]
public class ScaleProgramTests
{
    static string Run(params string[] arguments)
    {
        var (code, output, error) = CliProgram.Run(CliProgram.StartBench(["scale", .. arguments]));
        Assert.Equal((0, ""), (code, error));
        return output;
    }

    [Fact]
    public void TheCommittedPageIsWhatTheCommandPrints() => Assert.Equal(
        File.ReadAllText(Path.Combine(Repository.Root, "bench/results/scale.md")).ReplaceLineEndings("\n"),
        Run().ReplaceLineEndings("\n"));

    [Fact]
    public void CsvAndJsonHoldTheSameNumbers()
    {
        var path = Path.Combine(Path.GetTempPath(), $"cudasae-scale-{Guid.NewGuid():N}.csv");
        try
        {
            var json = Run("--json", "--latents", "1000000", "--gpus", "1,24", "--flat", "--moment-bytes", "1", "--csv",
                path);
            var lines = File.ReadAllLines(path);
            var names = lines[0].Split(',');
            using var document = JsonDocument.Parse(json);
            Assert.Equal(2, document.RootElement.GetArrayLength());
            foreach (var (row, line) in document.RootElement.EnumerateArray().Zip(lines.Skip(1)))
                foreach (var (name, cell) in names.Zip(line.Split(',')))
                    Assert.Equal(1, (1 + double.Parse(cell)) / (1 + row.GetProperty(name).GetDouble()), 1e-5);
            Assert.Equal(6.0 * 2 * 4096 * 1e6, document.RootElement[0].GetProperty("state_bytes").GetDouble());
            Assert.Equal(24, document.RootElement[1].GetProperty("gpus").GetDouble());
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>12 GPUs do not fill nodes of 8, so 24 GPUs have nothing to be compared with.</summary>
    [Fact]
    public void OtherNumbersOfGpusPrintAPageToo()
    {
        Assert.EndsWith("|  |\n", Run("--latents", "1000000", "--gpus", "24"));
        Assert.Contains("One GPU exchanges nothing.", Run("--gpus", "1"));
    }
}
