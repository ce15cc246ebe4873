using System.Text.Json;
using System.Xml.Linq;
using CudaSae.Backends.Cpu;
using CudaSae.Bench.Plots;
using CudaSae.Bench.Tables;
using CudaSae.Cli;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>cudasae bench and cudasae-bench from end to end without a GPU: times on the CPU, errors and checksums on
/// the emulator too.</summary>
[Collection("alone")]
[Trait("speed", "slow")]
public class BenchRunTests
{
    static readonly TrainConfig Config = new() { BatchRows = 16, Vectors = 1600 };

    static SaeSpec Spec(AuxLoss? aux = null) =>
        new() { InputWidth = 40, Latents = 300, Selection = new Selection.TopK(6), Aux = aux };

    /// <summary>Sums are float32 on the CPU. On kernels the gradients gather bfloat16 residuals; every other phase
    /// reads the values that it is compared with.</summary>
    [Theory]
    [InlineData(BackendKind.Cpu, 2e-5)]
    [InlineData(BackendKind.Emulator, 1.0 / 128)]
    public void PhasesAreCheckedAndTimed(BackendKind kind, double gradients)
    {
        Assert.SkipUnless(kind == BackendKind.Cpu || Targets.HasEmulator, "the emulator is not built on this machine");
        var (machine, rows) = StepBench.Run("step", kind, Spec(), Config, dead: 0, repeats: 20);
        Assert.Equal(["prepare", "encode", "decode", "backward", "optimize", "latents", "step"],
            rows.Select(row => row.Name));
        Assert.Equal(kind == BackendKind.Cpu, machine.Ceilings is not null);
        Assert.All(rows, row =>
        {
            Assert.True(row.Repeatable, row.Name);
            Assert.NotEqual(0ul, row.Checksum!.Value.First);
            Assert.InRange(row.MaxError!.Value, 0,
                row.Name is "optimize" or "step" ? gradients : row.Name is "encode" or "decode" ? 2e-5 : 0);
            Assert.Equal(kind == BackendKind.Cpu ? 20 : null, row.Time?.Repeats);
            Assert.Equal(kind == BackendKind.Cpu, row.PercentOfCeiling is > 0);
        });
    }

    [Theory]
    [InlineData(BackendKind.Cpu)]
    [InlineData(BackendKind.Emulator)]
    public void TheAuxiliaryLossIsTimedWithDeadLatents(BackendKind kind)
    {
        Assert.SkipUnless(kind == BackendKind.Cpu || Targets.HasEmulator, "the emulator is not built on this machine");
        var (_, rows) = StepBench.Run("kernels", kind, Spec(new(8, 0.3f, 64)), Config, dead: 40, repeats: 20);
        var aux = rows.Single(row => row.Name == "aux+product");
        Assert.Equal((8.0 * 16 * 40 * 40, true), (aux.Flops, aux.Repeatable));
        Assert.Equal(0, rows.Single(row => row.Name == "latents").MaxError);
        if (kind == BackendKind.Emulator)
            Assert.InRange(rows.Single(row => row.Name == "plain product").MaxError!.Value, 0, 2e-5);
        Assert.All(rows, row => Assert.True(row.Repeatable, row.Name));
        Assert.Throws<SaeException>(() => new BenchProblem(Spec(), Config, dead: 1));
    }

    /// <summary>Every error is detected, by comparison with weights or input other than those that the phases
    /// read.</summary>
    [Theory]
    [InlineData(nameof(StepPhase.Prepare))]
    [InlineData(nameof(StepPhase.Encode))]
    [InlineData(nameof(StepPhase.Decode))]
    [InlineData(nameof(StepPhase.Optimize))]
    public void WrongResultsAreDetected(string wrongPhase)
    {
        var wrong = Enum.Parse<StepPhase>(wrongPhase);
        using var problem = new BenchProblem(Spec(), Config);
        using var backend = new CpuBackend(problem.Spec, Config, InputType.Float32, 1);
        problem.Start(backend);
        if (wrong == StepPhase.Prepare) backend.InputSlot(0)[3] ^= 1;
        backend.BeginStep(0, problem.Scalars(1));
        var errors = new PhaseErrors(problem, backend);
        foreach (var phase in Enum.GetValues<StepPhase>())
        {
            ((IPhases)backend).Run(phase);
            if (phase == wrong)
                for (var f = 0; f < 300; f++)
                    if (phase == StepPhase.Encode) problem.Parameters.BEnc[f] += f == 7 ? 50 : 0;
                    else if (phase != StepPhase.Prepare) problem.Parameters.WDec[f][f % 40] += 0.5f;
            var error = errors.Of(phase);
            if (phase == wrong) Assert.InRange(error!.Value, 1e-3, 1e3);
            if (phase == wrong) return;
        }
    }

    [Fact]
    public void ChecksumsDifferForDifferentBits()
    {
        OutputHash a = new(), b = new(), c = new();
        a.Add([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        b.Add([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        c.Add([1, 2, 3, 4, 5, 6, 7, 8, 8]);
        Assert.Equal(a.Value, b.Value);
        Assert.NotEqual(a.Value, c.Value);
        OutputHash empty = new(), letter = new();
        letter.Add("a"u8);
        // FNV-1a's own test vectors
        Assert.Equal((0xcbf29ce484222325ul, 0xaf63dc4c8601ec8cul), (empty.Value, letter.Value));
    }

    [Fact]
    public void SweepRunsEachPointInASeparateProcess()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        var (code, output, error) = RunBench("sweep", "--backend", "emulator", "--axes", "n", "--csv", folder["s.csv"]);
        Assert.True(code == 0, error);
        Assert.Contains("two runs equal", output);
        var steps = BenchCsvReader.Read(folder["s.csv"]).Select(one => one.Row)
            .Where(row => row.Name == "n/step").ToArray();
        Assert.Equal([256, 512], steps.Select(row => row.Shape.Latents));
        Assert.All(steps,
            row => Assert.Equal(row.Memory!.Value.Planned, row.Memory.Value.Taken, row.Memory.Value.Planned * 0.01));
        Assert.Contains("nothing to draw", RunBench("plot", folder["s.csv"], "--out", folder["p"]).Error);
    }

    [Fact]
    public void CommandsPrintJsonWriteFilesAndRefuseBadInput()
    {
        using var folder = new TemporaryFolder();
        var json = JsonDocument.Parse(Run("bench", "--json", "--backend", "cpu", "--aux-k", "0", "--batch-rows", "16",
            "--input-width", "16", "--latents", "64", "--k", "4").Output).RootElement;
        // bench/peers reads the member step
        Assert.Equal(["input", "encode", "decode", "aux", "backward", "optimize", "latents", "step"],
            json.EnumerateObject().Select(p => p.Name));
        var (code, _, error) = RunBench("data", "--rows", "500", "--input-width", "16", "--batch-rows", "32",
            "--csv", folder["d.csv"]);
        Assert.True(code == 0, error);
        BenchRow[] data = [.. BenchCsvReader.Read(folder["d.csv"]).Select(one => one.Row)];
        Assert.Equal(["read in order", "feeder, shuffled", "blocks, checked", "pool of all rows",
            "pool, windows of 62"],
            data.Select(row => row.Name));
        Assert.All(data, row => Assert.True(row.GigabytesPerSecond > 0));
        Assert.All(data[..2], row => Assert.True(row.Repeatable));
        var jump = Preset.Named("jumprelu").Make(16, 64, 4, Config).Spec;
        var thresholded = StepBench.Run("step", BackendKind.Cpu, jump, Config, dead: 0, repeats: 20).Rows;
        // the dense path divides its work in another way
        Assert.All(thresholded,
            row => Assert.Equal((row.Name == "step", true), (row.FloorMs is not null, row.Time is not null)));
        Assert.Contains("cannot read", RunBench("plot", folder["none.csv"]).Error);
        Assert.Contains("ROWSxWIDTHxLATENTSxK", Run("bench", "--shapes", "4x5x6").Error);
        Assert.Contains("plain TopK", Run("bench", "--preset", "jumprelu", "--shapes", "8x16x64x4").Error);
    }

    [Fact]
    public void PicturesHoldEveryPoint()
    {
        var machine = new BenchMachine("cpu", "<machine>", "10.0", "0.1.0", new(2026, 11, 21), new(400, 20));
        BenchRow Row(string bench, string name, int n, double ms) =>
            new()
            {
                Bench = bench, Name = name, Shape = new(64, 32, n, 4), Time = new(ms, ms / 2, 2 * ms, 20),
                Flops = 1e6 * n, Bytes = 1e5 * n, FloorMs = ms / 4, Memory = (n << 20, n << 20)
            };
        var rows = new[] { 1024, 4096 }.SelectMany(n => new[] { Row("sweep", "n/encode", n, n / 100.0),
            Row("sweep", "n/decode", n, n / 900.0), Row("sweep", "n/optimize", n, n / 300.0),
            Row("sweep", "n/step", n, n / 64.0), Row("step", "encode", n, n / 100.0) })
            .Select(row => (machine, row)).ToArray();
        var charts = BenchPlots.Of(rows).ToDictionary(one => one.Name, one => XDocument.Parse(one.Chart.Draw()));
        Assert.Equal(["roofline", "scaling-memory", "scaling-n", "scaling-phases"], charts.Keys.Order());
        XNamespace svg = "http://www.w3.org/2000/svg";
        var scaling = charts["scaling-n"];
        Assert.Equal(["1k", "4k"], scaling.Descendants(svg + "text").Select(t => t.Value).Where(t => t.EndsWith('k')));
        Assert.Equal(2, scaling.Descendants(svg + "text").Count(t => t.Value == "25 %"));
        // A factor of four in width is a factor of four in time on both axes: the floor is parallel to the measured
        // line, log 4 apart.
        var paths = scaling.Descendants(svg + "path").Select(p => p.Attribute("d")!.Value)
            .Where(d => d.Contains(" L ", StringComparison.Ordinal))
            .Select(d => d.Split([' ', 'M', 'L'], StringSplitOptions.RemoveEmptyEntries).Select(double.Parse).ToArray())
            .ToArray();
        Assert.Equal(2, paths.Length);
        Assert.Equal(paths[0][1] - paths[0][3], paths[1][1] - paths[1][3], 0.2);
        Assert.Equal(paths[0][1] - paths[1][1], paths[0][1] - paths[0][3], 0.2);
        Assert.Contains("<machine>", scaling.Root!.Value);
    }

    /// <summary>README.md and docs/internals/benchmarks.md show the contents of bench/results, which cudasae-bench
    /// tables writes.</summary>
    [Fact]
    public void TablesOfTheDocumentsAreUpToDate()
    {
        foreach (var document in BenchTables.Documents)
        {
            var text = File.ReadAllText(Path.Combine(Repository.Root, document));
            Assert.Contains("<!-- bench: ", text);
            Assert.True(BenchTables.Render(text, Repository.Root) == text,
                $"{document} does not match bench/results: run cudasae-bench tables");
            var emptied = System.Text.RegularExpressions.Regex.Replace(text,
                @"(<!-- bench: [^>]*-->\n).*?(<!-- /bench -->)", "$1$2",
                System.Text.RegularExpressions.RegexOptions.Singleline);
            Assert.Equal(text, BenchTables.Render(emptied, Repository.Root));
        }
        Assert.Throws<SaeException>(() =>
            BenchTables.Render("<!-- bench: other epyc-zen5-2cores -->\n<!-- /bench -->", Repository.Root));
        Assert.Throws<SaeException>(() =>
            BenchTables.Render("<!-- bench: step no-such-device -->\n<!-- /bench -->", Repository.Root));
    }

    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    static (int Code, string Output, string Error) RunBench(params string[] arguments) =>
        CliProgram.Run(CliProgram.StartBench(arguments));
}
