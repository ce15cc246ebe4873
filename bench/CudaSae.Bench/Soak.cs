using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Lab.Synthetic;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae.Bench;

/// <summary>Runs cudasae-bench soak: trains for a long run of small steps. It checks that memory is flat, that the
/// step's time does not drift, and that a run that was stopped early has the same metrics.</summary>
static class Soak
{
    const int B = 64, D = 32, N = 256, Tenths = 10;

    public static Command Create()
    {
        var steps = BenchCommands.Number("STEPS", "steps of the run", 200_000);
        var preset = new Argument<string>("PRESET")
        {
            Description = "recipe of the run; cudasae presets lists them", Arity = ArgumentArity.ZeroOrOne,
            DefaultValueFactory = _ => "topk",
        };
        var command = new Command("soak", "Train for a long time and check memory, the step's time, and the metrics of "
            + "a stopped run.")
        {
            steps, preset,
        };
        command.SetAction(parsed => Run(parsed.GetValue(steps), Preset.Named(parsed.GetValue(preset)!)));
        return command;
    }

    static int Run(long steps, Preset preset)
    {
        var (spec, config) = preset.Make(D, N, 4,
            new() { BatchRows = B, Vectors = B * steps, LogEvery = (int)Math.Max(1, steps / 1000) },
            made => made with { Resampling = null });
        spec.Validate();
        using var world = new Superposition(new() { Features = 64, Width = D, L0 = 3 });
        var rows = new float[16_384 * D];
        for (var i = 0; i < rows.Length / D; i++) world.Row(i).CopyTo(rows, i * D);
        using var source = ActivationSource.Of(MemoryMarshal.AsBytes<float>(rows).ToArray(), D, InputType.Float32);

        var early = Train(source, spec, config, steps / 10);
        var whole = Train(source, spec, config, steps);
        var common = early.Metrics.Join(whole.Metrics, a => a.Step, b => b.Step, (a, b) => a == b).ToArray();
        // the last report belongs to the step at which the run stopped
        var same = common.Length >= early.Metrics.Count - 1 && common.All(equal => equal);
        for (var t = 0; t < Tenths; t++)
            Console.WriteLine($"tenth {t + 1}: {whole.MicrosecondsPerStep[t]:0} us a step, resident "
                + $"{whole.Resident[t] / 1048576.0:0.0} MiB");
        // The first tenth is a warm-up: code is compiled and buffers grow.
        var growth = whole.Resident[^1] - whole.Resident[0];
        var drift = whole.MicrosecondsPerStep[^1] / Median(whole.MicrosecondsPerStep[1..]);
        Console.WriteLine($"{preset.Name}, {steps} steps of [{B}, {D}], {N} latents: resident memory "
            + $"{growth / 1048576.0:+0.0;-0.0} MiB from the first tenth to the last, the last tenth's step "
            + $"{drift:0.00} of the median, "
            + $"FVU {whole.Metrics[^1].Fvu:0.0000}; {common.Length} reports of a run stopped at a tenth are "
            + $"{(same ? "the same" : "NOT THE SAME")}");
        return same && growth < 8 << 20 ? 0 : 1;
    }

    sealed record Result(List<StepMetrics> Metrics, double[] MicrosecondsPerStep, long[] Resident);

    static Result Train(ActivationSource source, SaeSpec spec, TrainConfig config, long until)
    {
        var start = new TrainingStart(source, source.Rows, spec, config);
        using var backend =
            BackendFactory.Create(BackendKind.Cpu, spec, config, source.Type, static (_, _) => { }, out _);
        using (var weights = start.Weights(spec, config)) backend.SetParameters(weights);
        using var stop = new CancellationTokenSource();
        var observer = new Observer(stop, until);
        new Trainer(backend, source, source.Rows, start.Scale, null, observer).Run(default, stop.Token);
        return new(observer.Metrics, observer.Times, observer.Resident);
    }

    static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

    sealed class Observer(CancellationTokenSource stop, long until) : ITrainingObserver
    {
        readonly Stopwatch clock = Stopwatch.StartNew();
        long lastStep;
        int tenth;

        public List<StepMetrics> Metrics { get; } = [];
        public double[] Times { get; } = new double[Tenths];
        public long[] Resident { get; } = new long[Tenths];

        public void Report(StepMetrics metrics)
        {
            Metrics.Add(WithoutTimes(metrics));
            if (metrics.Step >= (tenth + 1) * until / Tenths && tenth < Tenths)
            {
                Times[tenth] = clock.Elapsed.TotalMicroseconds / (metrics.Step - lastStep);
                Resident[tenth++] = Environment.WorkingSet;
                lastStep = metrics.Step;
                clock.Restart();
            }
            if (metrics.Step >= until) stop.Cancel();
        }

        /// <summary>The part of a report that two equal runs share.</summary>
        static StepMetrics WithoutTimes(StepMetrics metrics) => metrics with
        {
            RowsPerSecond = 0,
            EncodeGflops = 0,
            PercentOfLimit = null,
            InputWaitMs = null,
            FeederWaitMs = null,
            PrepareMs = null,
            EncodeMs = null,
            DecodeMs = null,
            AuxMs = null,
            BackwardMs = null,
            OptimizeMs = null,
            LatentsMs = null,
        };

        public void Saved(string path) { }
    }
}
