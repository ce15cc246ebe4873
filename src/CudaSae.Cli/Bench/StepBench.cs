using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Cli;

/// <summary>Measures one shape on one backend: times first, then the machine's ceilings, then errors and
/// checksums.</summary>
static class StepBench
{
    static bool measured;

    /// <param name="check">False omits errors and checksums: it takes minutes to read back weights of many
    /// gigabytes.</param>
    /// <param name="bench">step: the phases and the whole step; kernels: the phases.</param>
    public static (BenchMachine Machine, IReadOnlyList<BenchRow> Rows) Run(string bench, BackendKind kind, SaeSpec spec,
        TrainConfig config, int dead, int repeats, bool check = true)
    {
        Warm(kind);
        using var beside = Beside(kind);
        var before = BenchMachines.UsedBytes(beside);
        using var problem = new BenchProblem(spec, config, dead);
        using var backend = BackendFactory.Create(kind, spec, config, InputType.Float32, static (_, _) => { }, out _);
        var run = new PhaseBench(backend, problem, repeats);
        run.Start();
        var phases = run.TimePhases();
        var step = bench == "step" ? run.TimeStep() : [];
        // On the CPU the plan includes the float32 weights on the host, which a run starts from and saves.
        var weights = problem.Parameters.WEnc.Bytes + problem.Parameters.WDec.Bytes;
        var planned = backend.Plan.TotalBytes + (backend.StateIsOnHost ? weights : 0);
        // Only the first shape of a process is measured: the allocator keeps its memory for later ones.
        (long, long)? memory = Interlocked.Exchange(ref measured, true) ? null
            : (planned, BenchMachines.UsedBytes(beside) - before);
        var machine = BenchMachines.Describe(backend);
        var checks = check ? run.Check() : null;
        var rows = Enum.GetValues<StepPhase>()
            .Where(phase => phase != StepPhase.Aux || spec.Aux is not null || spec.Ghost is not null)
            .Select(phase => run.Row(bench, phase, phases[(int)phase], checks?[(int)phase], machine.Ceilings)).ToList();
        if (check && bench == "kernels" && PlainProduct((IPhases)backend, problem, repeats, machine) is { } product)
            rows.Insert(2, product);
        if (bench == "step") rows.Add(run.Row(step, checks?[^1], machine.Ceilings) with { Memory = memory });
        return (machine, rows);
    }

    static BenchRow? PlainProduct(IPhases phases, BenchProblem problem, int repeats, BenchMachine machine)
    {
        if (phases.Device is not { } device) return null;
        var product = new PlainProduct(phases, problem);
        return BenchMachines.WithoutCublas(() => product.Run(device, repeats, machine.Ceilings), "no plain product");
    }

    /// <summary>Returns medians in milliseconds by phase for a step alone, in the form that bench/peers
    /// reads.</summary>
    public static string Json(BackendKind kind, SaeSpec spec, TrainConfig config, int repeats)
    {
        using var backend = BackendFactory.Create(kind, spec, config, InputType.Float32, static (_, _) => { }, out _);
        var problem = new BenchProblem(spec, config);
        var run = new PhaseBench(backend, problem, repeats);
        run.Start();
        problem.Dispose();      // like a run, which also keeps no copy of the weights
        var phases = run.TimePhases();
        var medians = phases.Append(run.TimeStep()).Select(ms => ms.Count > 0 ? Doubles.Median(ms) : double.NaN);
        var fields = Enum.GetNames<StepPhase>().Append("step").Zip(medians).Where(m => !double.IsNaN(m.Second))
            .Select(m => (Name: m.First == "Prepare" ? "input" : m.First.ToLowerInvariant(), Ms: m.Second))
            .Select(m => FormattableString.Invariant($"\"{m.Name}\": {m.Ms:0.###}"));
        return $"{{{string.Join(", ", fields)}}}";
    }

    /// <summary>Opens the device a second time: its free memory shows how much the backend takes. Null on the
    /// CPU.</summary>
    static CudaDevice? Beside(BackendKind kind) => BackendFactory.Chosen(kind) switch
    {
        BackendKind.Cpu => null,
        BackendKind.Emulator => CudaDevice.OpenEmulator(BackendFactory.RequireEmulator()),
        _ => CudaDevice.Open(0),
    };

    /// <summary>Runs steps so that code is compiled and threads are started before memory is measured.</summary>
    static void Warm(BackendKind kind)
    {
        if (BackendFactory.Chosen(kind) != BackendKind.Cpu) return;
        var spec = new SaeSpec { InputWidth = 16, Latents = 64, Selection = new Selection.TopK(4) };
        var config = new TrainConfig { BatchRows = 16, Vectors = 640 };
        using var backend = new CpuBackend(spec, config, InputType.Float32);
        using var problem = new BenchProblem(spec, config);
        var run = new PhaseBench(backend, problem, 20);
        run.Start();
        run.TimePhases();
        run.TimeStep();
    }
}
