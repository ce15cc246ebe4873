using System.Diagnostics;
using CudaSae.Backends;
using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Cli;

/// <summary>Checks and times the phases of one backend on one problem, and the whole step.</summary>
sealed class PhaseBench(IBackend backend, BenchProblem problem, int repeats)
{
    const int Warmup = 3;

    readonly IPhases phases = (IPhases)backend;
    readonly StepCost cost =
        StepCost.Of(problem.Spec, problem.Config, backend.Kind != BackendKind.Cpu, problem.Dead);

    int t;      // steps so far

    static StepPhase[] Phases { get; } = Enum.GetValues<StepPhase>();

    /// <summary>Returns the errors of one step and the checksums of two, phase by phase. The last element is the whole
    /// step.</summary>
    public (double? Error, (ulong, ulong) Checksum)[] Check()
    {
        var (errors, sums) = (new double?[Phases.Length + 1], new ulong[2, Phases.Length + 1]);
        for (var run = 0; run < 2; run++)
        {
            problem.Start(backend);
            problem.MarkDead(backend, 1);
            backend.BeginStep(0, problem.Scalars(1));
            var whole = new OutputHash();
            var reference = new PhaseErrors(problem, phases);
            foreach (var phase in Phases)
            {
                phases.Run(phase);
                sums[run, (int)phase] = OutputHash.Of(phases, phase);
                whole.Add(BitConverter.GetBytes(sums[run, (int)phase]));
                if (run == 0) errors[(int)phase] = reference.Of(phase);
            }
            backend.EndStep();
            backend.ReadSums();
            sums[run, Phases.Length] = whole.Value;
        }
        errors[^1] = problem.IsPlain ? errors.Max() : null;
        return [.. errors.Select((error, i) => (error, (sums[0, i], sums[1, i])))];
    }

    /// <summary>Sets the weights, and the input in both slots, before anything is timed.</summary>
    public void Start() => problem.Start(backend);

    /// <summary>Returns the milliseconds of each phase by itself.</summary>
    public IReadOnlyList<double>[] TimePhases() => phases.Device is { } device ? OnDevice(device) : OnHost();

    /// <summary>Times the phases in the order of a step, so that each starts with the caches that the one before
    /// left.</summary>
    List<double>[] OnHost()
    {
        List<double>[] times = [.. Phases.Select(_ => new List<double>())];
        for (var repeat = -Warmup; repeat < repeats; repeat++)
        {
            problem.MarkDead(backend, ++t);
            backend.BeginStep(t & 1, problem.Scalars(t));
            foreach (var phase in Phases)
            {
                var start = Stopwatch.GetTimestamp();
                phases.Run(phase);
                if (repeat >= 0) times[(int)phase].Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
            backend.EndStep();
        }
        return times;
    }

    /// <summary>Times each phase repeatedly on the same operands, with a cold second-level cache.</summary>
    IReadOnlyList<double>[] OnDevice(IDevice device)
    {
        using var clock = new DeviceClock(device, phases.Stream);
        problem.MarkDead(backend, ++t);
        backend.BeginStep(0, problem.Scalars(t));
        IReadOnlyList<double>[] times = [.. Phases.Select(phase =>
            clock.Time(() => phases.Run(phase), repeats, capture: !problem.Spec.IsThresholded))];
        backend.EndStep();
        backend.ReadSums();
        return times;
    }

    /// <summary>Returns the milliseconds of whole steps that follow one another as in a run. Their input is already in
    /// its slot.</summary>
    public IReadOnlyList<double> TimeStep()
    {
        var step = new SaeStep(backend);
        using var clock = phases.Device is { } device ? new DeviceClock(device, phases.Stream) : null;
        var times = clock?.TimeChain(_ =>
        {
            Mark(); Run();
        }, Warmup + repeats) ?? [.. Enumerable.Range(0, Warmup + repeats).Select(_ => { Mark(); return OnHost(Run); })];
        backend.ReadSums();
        return [.. times.Skip(Warmup)];

        void Mark() => problem.MarkDead(backend, ++t);
        void Run() => step.Run(t & 1, problem.Scalars(t));
    }

    static double OnHost(Action run)
    {
        var start = Stopwatch.GetTimestamp();
        run();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    /// <summary>Returns the row of a phase. Thresholded selections on the dense path divide the work between phases
    /// differently from the cost formulas, so their rows have only a time.</summary>
    public BenchRow Row(string bench, StepPhase phase, IReadOnlyList<double> ms,
        (double? Error, (ulong, ulong) Checksum)? check, Ceilings? machine) =>
        Row(bench, NameOf(bench, phase), ms, check) with
        {
            Flops = problem.Spec.IsThresholded ? 0 : cost[phase].Flops,
            Bytes = problem.Spec.IsThresholded ? 0
                : cost[phase].Bytes,
            FloorMs = machine is { } m && !problem.Spec.IsThresholded ? cost[phase].FloorMs(m)
                : null,
            Note = problem.Spec.IsThresholded ? "uncounted" : "",
        };

    /// <summary>Returns the row of the whole step.</summary>
    public BenchRow Row(IReadOnlyList<double> ms, (double? Error, (ulong, ulong) Checksum)? check, Ceilings? machine) =>
        Row("step", "step", ms, check) with
        {
            Flops = cost.Flops,
            Bytes = cost.Bytes,
            FloorMs = machine is { } m ? cost.FloorMs(m) : null
        };

    BenchRow Row(string bench, string name, IReadOnlyList<double> ms,
        (double? Error, (ulong, ulong) Checksum)? check) =>
        new()
        {
            Bench = bench, Name = name, Shape = problem.Shape, Time = ms.Count > 0 ? Timing.Of(ms)
            : null, Tokens = problem.Config.BatchRows, MaxError = check?.Error, Checksum = check?.Checksum,
        };

    /// <summary>Returns the name of a phase: the step's name for it, or the files of its kernels.</summary>
    static string NameOf(string bench, StepPhase phase) =>
        bench != "kernels" ? phase.ToString().ToLowerInvariant() : phase switch
        {
            StepPhase.Encode =>
                "encode+select",
            StepPhase.Aux =>
                    "aux+product",
            StepPhase.Backward =>
                        "index",
            StepPhase.Optimize => "update",
            _ => phase.ToString().ToLowerInvariant(),
        };
}
