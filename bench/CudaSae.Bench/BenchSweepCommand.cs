using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using CudaSae.Backends;
using CudaSae.Bench.Tables;
using CudaSae.Cli;
using CudaSae.Numerics;

namespace CudaSae.Bench;

/// <summary>cudasae-bench sweep: n, B, d and k varied one at a time around a shape. Each point is a process of its own,
/// cudasae bench step, so that the memory it takes can be told.</summary>
static class BenchSweepCommand
{
    const long MostChecked = 1L << 30;      // weights

    /// <summary>The program cudasae, which a build puts beside this one under its assembly's name.</summary>
    static string Program { get; } =
        Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "CudaSae.Cli.exe" : "CudaSae.Cli");

    /// <summary>A shape and what each of its numbers becomes in turn.</summary>
    sealed record Grid(BenchShape Base, int[] Latents, int[] Rows, int[] Width, int[] Active)
    {
        public IEnumerable<(string Axis, BenchShape Shape)> Points =>
        [
            .. Latents.Select(n => ("n", Base with { Latents = n })),
            .. Rows.Select(b => ("B", Base with { Rows = b })),
            .. Width.Select(d => ("d", Base with { Width = d })),
            .. Active.Select(k => ("k", Base with { Active = k })),
        ];
    }

    static readonly Grid OnCpu = new(new(1024, 512, 8192, 32), Doublings(2048, 65536), Doublings(256, 4096),
        [128, 256, 512, 768, 1024, 2048], Doublings(8, 128));
    static readonly Grid OnGpu = new(new(8192, 2304, 65536, 64), Doublings(16384, 1 << 20), Doublings(2048, 32768),
        [512, 768, 1024, 2304, 4096, 8192], Doublings(16, 256));
    static readonly Grid OnEmulator = new(new(8, 64, 256, 4), [256, 512], [4, 8], [32, 64], [4, 8]);

    static int[] Doublings(int from, int to) =>
        [.. Enumerable.Range(0, 31).Select(i => (long)from << i).TakeWhile(x => x <= to).Select(x => (int)x)];

    public static Command Create()
    {
        var backend = Settings.NewBackend("auto, cuda, cpu or emulator");
        var repeats = Options.New("--repeats", "timed steps of each point, at least 20", 20, 1, 1 << 20);
        var axes = Options.New("--axes", "which to vary: any of n, B, d and k", "nBdk");
        var csv = Options.New("--csv", "also write the rows into this file", "");
        var command = new Command("sweep",
            "Measure steps while n, B, d and k grow, one at a time: time beside the floor, memory beside the "
                + "plan.") { backend,
                repeats, axes, csv };
        command.SetAction(parsed =>
        {
            var kind = ChosenBackend.Of(parsed.GetValue(backend));
            var grid = kind switch { BackendKind.Cpu => OnCpu, BackendKind.Emulator => OnEmulator, _ => OnGpu };
            var rows = new List<(BenchMachine Machine, BenchRow Row)>();
            if (parsed.GetValue(axes)!.FirstOrDefault(axis => !"nBdk".Contains(axis)) is not '\0' and var other)
                throw new SaeException($"--axes {parsed.GetValue(axes)}: '{other}' is no axis; any of n, B, d and k");
            if (!File.Exists(Program))
                throw new SaeException($"{Program}, which takes the steps, is not there", kind: SaeErrorKind.Files);
            // The axes meet in one point. Null where a point failed.
            var measured = new Dictionary<BenchShape, IReadOnlyList<(BenchMachine, BenchRow)>?>();
            var members = new Members();
            foreach (var (axis, shape) in grid.Points.Where(point =>
                parsed.GetValue(axes)!.Contains(point.Axis, StringComparison.Ordinal)))
            {
                if (!measured.TryGetValue(shape, out var point))
                    measured[shape] = point =
                        members.Get($"{shape}", () => Child(kind, shape, parsed.GetValue(repeats)), static _ => true);
                if (point is null) continue;
                rows.AddRange(point.Select(one =>
                    (one.Item1, one.Item2 with { Bench = "sweep", Name = $"{axis}/{one.Item2.Name}" })));
                Console.WriteLine(Line(axis, shape, point[^1].Item2));
            }
            rows = BenchFloors.ByBestCeilings(rows);
            if (parsed.GetValue(csv) is { Length: > 0 } path) BenchCsv.Write(path, rows);
            return rows.Any(one => one.Row.Repeatable == false) ? 1 : members.ExitCode;
        });
        return command;
    }

    static string Line(string axis, BenchShape shape, BenchRow step) =>
        string.Create(CultureInfo.InvariantCulture, $"{axis}: {shape}: ")
        + (step.Time is { } t
            ? string.Create(CultureInfo.InvariantCulture,
                $"{t.Median:0.00} ms ({t.Min:0.00} to {t.Max:0.00}), {step.PercentOfCeiling:0} % of the ceilings "
                    + $"measured beside it; ")
            : "no time; ")
        + (step.Memory is { } m ? $"{MemoryPlan.Format(m.Planned)} planned, {MemoryPlan.Format(m.Taken)} taken; " : "")
        + step.Repeatable switch
        {
            true => "two runs equal",
            false => "TWO RUNS DIFFER",
            null => "unchecked, for its weights take minutes to copy"
        };

    /// <exception cref="SaeException">The child failed; its own line says why.</exception>
    static IReadOnlyList<(BenchMachine, BenchRow)> Child(BackendKind kind, BenchShape shape, int repeats)
    {
        var table = Path.Combine(Path.GetTempPath(), $"cudasae-bench-{Environment.ProcessId}.csv");
        try
        {
            string[] arguments = ["bench", "step", "--backend", BackendFactory.Name(kind), "--aux-k", "0", "--repeats",
                $"{repeats}", "--shapes", $"{shape.Rows}x{shape.Width}x{shape.Latents}x{shape.Active}", "--csv", table];
            if (2L * shape.Latents * shape.Width > MostChecked) arguments = [.. arguments, "--unchecked"];
            var start = new ProcessStartInfo(Program, arguments);
            (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
            using var process = Process.Start(start)!;
            var output = process.StandardOutput.ReadToEndAsync();
            var error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            _ = output.Result;
            if (!File.Exists(table))
                throw new SaeException($"bench at {shape} failed: {error.Trim()}", kind: SaeErrorKind.Device);
            return BenchCsvReader.Read(table);
        }
        finally
        {
            File.Delete(table);
        }
    }
}
