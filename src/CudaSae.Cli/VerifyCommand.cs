using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Backends.Kernels;
using CudaSae.Data;
using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Training;
using CudaSae.Verification;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>cudasae verify: every phase on this machine's targets against the double-precision reference. Exits with 1 on any mismatch.</summary>
static class VerifyCommand
{
    public static Command Create()
    {
        var backend = Settings.NewBackend("auto for all that are here; or cuda, cpu, emulator");
        var schedules = Settings.New("--schedules", "orders of blocks, threads and streams that the emulator tries", 1);
        var only = Settings.New("--case", "only cases whose name contains this", "");
        var command = new Command("verify", "Hold this machine's targets against the double-precision reference.") { backend, schedules, only };
        command.SetAction(parsed =>
        {
            var name = parsed.GetValue(only)!;
            if (!VerifyCase.All.Any(c => c.Name.Contains(name, StringComparison.Ordinal))) throw new SaeException($"--case {name}: no case has that in its name");
            var bad = Targets(parsed.GetValue(backend), parsed.GetValue(schedules))
                .Sum(target => Verify(target.Name, target.Create, target.Rounding, VerifyCase.All.Where(c => (c.UsesTopKEncoder || !target.TopKOnly) && c.Name.Contains(name, StringComparison.Ordinal))));
            Console.WriteLine(bad == 0 ? "all equal within rounding" : $"{bad} quantities differ");
            return bad == 0 ? 0 : 1;
        });
        return command;
    }

    static IEnumerable<(string Name, Func<SaeSpec, TrainConfig, InputType, IBackend> Create, Rounding Rounding, bool TopKOnly)> Targets(BackendKind kind, int schedules)
    {
        if (kind is BackendKind.Auto or BackendKind.Cpu) yield return ("cpu", (spec, config, type) => new CpuBackend(spec, config, type), Rounding.None, false);
        var library = kind == BackendKind.Emulator ? BackendFactory.RequireEmulator() : Emulator.FindLibrary();
        if (kind is BackendKind.Auto or BackendKind.Emulator && library is not null)
            for (var schedule = 0; schedule < schedules; schedule++)
            {
                var seed = (ulong)schedule;
                foreach (var target in Kernels(schedule == 0 ? "emulator" : $"emulator, schedule {schedule}", () =>
                {
                    new Emulator(library).SetSeed(seed);
                    return CudaDevice.OpenEmulator(library);
                })) yield return target;
            }
        var gpu = CudaDevice.Count(out _) > 0 && KernelModules.Embedded;
        if (kind == BackendKind.Cuda || kind == BackendKind.Auto && gpu)
            foreach (var target in Kernels("cuda", () => CudaDevice.Open(0))) yield return target;
        if (kind == BackendKind.ManagedCuda || kind == BackendKind.Auto && BackendFactory.ManagedCuda is not null && (gpu || library is not null))
        {
            var launcher = BackendFactory.RequireManagedCuda();
            foreach (var target in gpu ? Kernels("managed-cuda", () => launcher.Open(0)) : Kernels("managed-cuda, emulator", () => launcher.OpenEmulator(BackendFactory.RequireEmulator())))
                yield return target;
        }
    }

    /// <summary>The kernels as a run uses them, and the paths that it rarely takes: the exact fallback of encode, and its float32 reference.</summary>
    static IEnumerable<(string Name, Func<SaeSpec, TrainConfig, InputType, IBackend> Create, Rounding Rounding, bool TopKOnly)> Kernels(string name, Func<IDevice> open)
    {
        yield return (name, (spec, config, type) => new KernelBackend(open(), spec, config, type, ownsDevice: true), Rounding.BFloat16, false);
        yield return ($"{name}, 64 candidates", (spec, config, type) => new KernelBackend(open(), spec, config, type, ownsDevice: true, new KernelVariant { EncodeCapacity = 64 }), Rounding.BFloat16, true);
        yield return ($"{name}, float32 encoder", (spec, config, type) => new KernelBackend(open(), spec, config, type, ownsDevice: true, new KernelVariant { ReferenceEncode = true }), Rounding.Float32Encoder, true);
    }

    static int Verify(string target, Func<SaeSpec, TrainConfig, InputType, IBackend> create, Rounding rounding, IEnumerable<VerifyCase> cases)
    {
        var bad = 0;
        var table = new Table().AddColumns("target", "case", "worst quantity").AddColumn(new TableColumn("difference").RightAligned()).AddColumn(new TableColumn("allowed").RightAligned()).AddColumn("");
        var verifier = new Verifier(create, rounding);
        foreach (var c in cases)
        {
            if (Console.IsOutputRedirected) Console.WriteLine($"{target}: {c.Name}");       // a kernel that does not end leaves no table
            var results = verifier.Run(c);
            bad += results.Count(r => !r.Passed);
            var worst = results.OrderByDescending(r => double.IsNaN(r.Difference) ? double.PositiveInfinity : r.Difference / r.Tolerance).First();
            table.AddRow(target, c.Name, worst.Quantity, $"{worst.Difference:0.0e+0}", $"{worst.Tolerance:0.0e+0}", worst.Passed ? "ok" : "MISMATCH");
        }
        AnsiConsole.Write(table);
        return bad;
    }
}
