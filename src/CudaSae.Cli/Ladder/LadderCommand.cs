using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Devices;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>cudasae bench ladder: the encoder's product one technique after another (kernels/ladder), checked, and timed where time exists.</summary>
static class LadderCommand
{
    public static Command Create()
    {
        var backend = Settings.NewBackend("cuda, or emulator, which checks and gives no times");
        var shape = Settings.New("--shape", "B,d,n; 4096,768,24576 on a GPU, 37,96,200 on the emulator", "");
        var repeats = Settings.New("--repeats", "timed runs of each rung, at least 20", 20);
        var csv = Settings.New("--csv", "also writes the rows here", "");
        var command = new Command("ladder", "Climb from a naive product to the engine's encoder, a technique a rung.") { backend, shape, repeats, csv };
        command.SetAction(parsed =>
        {
            using var device = Open(parsed.GetValue(backend));
            var (rows, width, columns) = Shape(parsed.GetValue(shape)!, device.Info.Emulated);
            return Run(device, LadderProblem.Make(rows, width, columns), Math.Max(20, parsed.GetValue(repeats)));
        });
        return command;
    }

    static CudaDevice Open(BackendKind kind)
    {
        KernelModules.Include(typeof(LadderCommand).Assembly);
        return kind switch
        {
            BackendKind.Cuda => CudaDevice.Open(0),
            BackendKind.Auto when BackendFactory.Chosen(kind) == BackendKind.Cuda => CudaDevice.Open(0),
            BackendKind.Auto or BackendKind.Emulator => CudaDevice.OpenEmulator(BackendFactory.RequireEmulator()),
            _ => throw new SaeException($"the ladder is made of kernels: --backend cuda or emulator, not {BackendFactory.Name(kind)}"),
        };
    }

    internal static (int Rows, int Width, int Columns) Shape(string text, bool emulated)
    {
        if (text.Length == 0) text = emulated ? "37,96,200" : "4096,768,24576";
        var numbers = text.Split(',').Select(part => int.TryParse(part, out var number) && number > 0 ? number : 0).ToArray();
        return numbers is [> 0, > 0, > 0] ? (numbers[0], numbers[1], numbers[2]) : throw new SaeException($"--shape {text} is not B,d,n: three positive numbers such as 4096,768,24576");
    }

    static int Run(CudaDevice device, LadderProblem problem, int repeats)
    {
        using var ladder = new LadderDevice(device, problem);
        var wrong = 0;
        foreach (var rung in Rung.All)
        {
            var (first, again) = (ladder.Check(rung), ladder.Check(rung));
            Console.WriteLine($"{rung.Name} {first.MaxError:0.0e+0} {first.Checksum:x16} {again.Checksum:x16} {first.Fault}");
            if (!first.Passed || first.Checksum != again.Checksum) wrong++;
        }
        return wrong == 0 ? 0 : 1;
    }
}
