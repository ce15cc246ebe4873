using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Cli;
using CudaSae.Devices;

namespace CudaSae.Bench.Ladder;

/// <summary>Runs cudasae-bench ladder: checks the encoder's product one technique after another (kernels/ladder), and
/// times it where the device measures time.</summary>
static class LadderCommand
{
    public static Command Create()
    {
        var backend = Settings.NewBackend("cuda, or emulator, which checks without times");
        var shape = Options.New("--shape", "B,d,n; 4096,768,24576 on a GPU, 37,96,200 on the emulator", "");
        var repeats = Options.New("--repeats", "timed runs of each rung, at least 20", 20, 1, 1 << 20);
        var csv = Options.New("--csv", "also write the rows into this file", "");
        var command = new Command("ladder",
            "Climb from a naive product to the engine's encoder, a technique a rung.") { backend, shape, repeats, csv };
        command.SetAction(parsed =>
        {
            using var device = Open(parsed.GetValue(backend));
            var (rows, width, columns) = Shape(parsed.GetValue(shape)!, device.Info.Emulated);
            var problem = LadderProblem.Make(rows, width, columns);
            using var ladder = new LadderDevice(device, problem);
            var machine = BenchMachines.Describe(device, ladder.Stream);
            var measured = Run(device, ladder, problem, machine, Math.Max(20, parsed.GetValue(repeats)));
            BenchTable.Print(machine,
                [.. measured.Select(row => row.Note.StartsWith(Wrong, StringComparison.Ordinal) ? row
                    : row with { Note = "" })]);
            foreach (var rung in Rung.All)
                Console.WriteLine($"{rung.Name,-21} "
                    + (rung.RunsOn(device.Info) ? "" : "(not run: it needs compute capability 9.0) ") + rung.Sentence);
            if (parsed.GetValue(csv) is { Length: > 0 } path)
                BenchCsv.Write(path, measured.Select(row => (machine, row)));
            return measured.Any(row => row.Repeatable == false || row.Note.StartsWith(Wrong, StringComparison.Ordinal))
                ? 1 : 0;
        });
        return command;
    }

    static CudaDevice Open(BackendKind kind) => kind switch
    {
        BackendKind.Cuda => CudaDevice.Open(0),
        BackendKind.Auto when BackendFactory.Chosen(kind) == BackendKind.Cuda => CudaDevice.Open(0),
        BackendKind.Auto or BackendKind.Emulator => CudaDevice.OpenEmulator(BackendFactory.RequireEmulator(), (9, 0)),
        _ =>
            throw new SaeException("the ladder runs kernels: use --backend cuda or emulator, not "
                + $"{BackendFactory.Name(kind)}"),
    };

    internal static (int Rows, int Width, int Columns) Shape(string text, bool emulated)
    {
        if (text.Length == 0) text = emulated ? "37,96,200" : "4096,768,24576";
        var numbers = text.Split(',').Select(part => Forms.Within(part, 1, int.MaxValue) ?? 0).ToArray();
        return numbers is [> 0, > 0, > 0] ? (numbers[0], numbers[1], numbers[2])
            : throw new SaeException($"--shape {text} is not B,d,n: three positive numbers such as 4096,768,24576");
    }

    static List<BenchRow> Run(CudaDevice device, LadderDevice ladder, LadderProblem problem,
        BenchMachine machine, int repeats)
    {
        using var clock = new DeviceClock(device, ladder.Stream);
        var rows = new List<BenchRow>();
        foreach (var rung in Rung.All.Where(rung => rung.RunsOn(device.Info)))
        {
            if (Console.IsOutputRedirected) Console.WriteLine(rung.Name); // a kernel that does not end leaves no table
            var (first, second) = (ladder.Check(rung), ladder.Check(rung));
            rows.Add(Row(problem, machine, rung.Name, rung.Filters, clock.Time(() => ladder.Launch(rung), repeats)) with
            {
                MaxError = first.MaxError * problem.AllowedError,
                Checksum = (first.Checksum, second.Checksum),
                Note = first.Passed
                    ? rung.Sentence : $"{Wrong} {first.Fault}",
            });
        }
        if (machine.Ceilings is not null)
            rows.Add(Row(problem, machine, "cublas", filters: false,
                clock.Time(ladder.LaunchGemm, repeats, capture: false)) with
            {
                Note = "The vendor's library on the "
                    + "same operands, without the bias."
            });
        return rows;
    }

    const string Wrong = "WRONG RESULT";

    static BenchRow Row(LadderProblem problem, BenchMachine machine, string name, bool filters,
        IReadOnlyList<double> times)
    {
        double flops = 2.0 * problem.Rows * problem.Width * problem.Columns,
            bytes = 2.0 * (problem.Rows + problem.Columns) * problem.Width
            + (filters ? 0 : 4.0 * problem.Rows * problem.Columns);
        return new()
        {
            Bench = "ladder", Name = name, Shape = new(problem.Rows, problem.Width, problem.Columns, 0),
            Time = times.Count > 0
                ? Timing.Of(times) : null, Flops = flops, Bytes = bytes,
            FloorMs = machine.Ceilings is { } c ? flops / c.GemmGflops / 1e6 : null,
        };
    }
}
