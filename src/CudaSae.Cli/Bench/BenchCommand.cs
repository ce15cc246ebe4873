using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Data;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Training;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>cudasae bench: one step on random data, phase by phase, medians.</summary>
static class BenchCommand
{
    public static Command Create()
    {
        var settings = new Settings();
        var width = Settings.New("--input-width", "d", 512);
        var repeats = Settings.New("--repeats", "timed steps, at least 20", 20);
        var json = Settings.New("--json", "one line of JSON: milliseconds by phase", false);
        var command = new Command("bench", "Time a training step on random data.") { width, repeats, json };
        settings.AddTo(command);
        command.SetAction(parsed =>
        {
            var (spec, config) = (settings.Spec(parsed, parsed.GetValue(width)), settings.Config(parsed));
            using var backend = BackendFactory.Create(parsed.GetValue(settings.Backend), spec, config, InputType.Float32, static (_, _) => { }, out var why);
            var medians = StepTimer.Run(backend, Math.Max(20, parsed.GetValue(repeats)));
            if (parsed.GetValue(json))
            {
                Console.WriteLine("{" + string.Join(", ", medians.Select(m => FormattableString.Invariant($"\"{m.Phase}\": {m.Ms:0.###}"))) + "}");
                return 0;
            }
            AnsiConsole.MarkupLineInterpolated($"[bold]{backend.Description}[/] ({why}); B {config.BatchRows}, d {spec.InputWidth}, n {spec.Latents}, k {spec.Active}");
            Print(medians, spec, config);
            if (backend is not CpuBackend) return 0;
            var ceilings = Ceilings.MeasureCpu();
            Console.WriteLine($"this machine: {ceilings.GemmGflops:0} GFLOP/s, {ceilings.CopyGigabytes:0.0} GB/s copied; the least a step could take is {ceilings.FloorMs(spec, config):0.0} ms, "
                + $"{100 * ceilings.FloorMs(spec, config) / medians[^1].Ms:0} % of the measured time");
            return 0;
        });
        return command;
    }

    static void Print(IReadOnlyList<(string Phase, double Ms)> medians, SaeSpec spec, TrainConfig config)
    {
        var table = new Table().AddColumn("phase").AddColumn(new TableColumn("median ms").RightAligned()).AddColumn(new TableColumn("rate").RightAligned());
        double flops = 2.0 * config.BatchRows * spec.InputWidth * spec.Latents, bytes = 24.0 * 2 * spec.Latents * spec.InputWidth;
        foreach (var (phase, ms) in medians)
            table.AddRow(phase, $"{ms:0.00}", phase switch
            {
                "encode" => $"{flops / ms / 1e6:0} GFLOP/s",
                "optimize" => $"{bytes / ms / 1e6:0.0} GB/s of moments and weights",
                "step" => $"{config.BatchRows / ms * 1000:0} rows/s",
                _ => "",
            });
        AnsiConsole.Write(table);
    }
}

/// <summary>Times the phases of a step in their order; the median of each, and of the whole.</summary>
static class StepTimer
{
    public static IReadOnlyList<(string Phase, double Ms)> Run(IBackend backend, int repeats)
    {
        var (spec, config) = (backend.Spec, backend.Config);
        var random = new Random(1);
        using (var parameters = new SaeParameters(spec))
        {
            for (var f = 0; f < spec.Latents; f++)
                for (var i = 0; i < spec.InputWidth; i++) parameters.WEnc[f][i] = parameters.WDec[f][i] = (float)((random.NextDouble() - 0.5) * Math.Sqrt(12.0 / spec.InputWidth));
            backend.SetParameters(parameters);
        }
        for (var slot = 0; slot < 2; slot++)
            foreach (ref var x in MemoryMarshal.Cast<byte, float>(backend.InputSlot(slot))) x = (float)(random.NextDouble() - 0.5) * 3.4f;

        (string Name, Action Body)[] phases =
        [
            ("encode", backend.EncodeSelect), ("decode", backend.DecodeLoss), ("aux", backend.AuxLoss), ("backward", backend.Backward),
            ("optimize", backend.Optimize), ("latents", backend.TrackLatents),
        ];
        var times = phases.ToDictionary(p => p.Name, _ => new List<double>());
        times["input"] = [];
        times["step"] = [];
        for (var repeat = -3; repeat < repeats; repeat++)       // phase by phase, waiting for each
        {
            var scalars = Scalars(repeat + 4);
            Time("input", repeat, () => backend.BeginStep(repeat & 1, scalars));
            foreach (var (name, body) in phases) Time(name, repeat, body);
            backend.EndStep();
        }
        var step = new SaeStep(backend);
        for (var repeat = -3; repeat < repeats; repeat++) Time("step", repeat, () => step.Run(repeat & 1, Scalars(repeat + repeats + 7)));
        return [.. new[] { "input" }.Concat(phases.Select(p => p.Name)).Append("step").Select(name => (name, times[name].Order().ElementAt(times[name].Count / 2)))];

        StepScalars Scalars(int t) => Schedules.Scalars(spec, config, new(1, spec.InputWidth), t);

        void Time(string name, int repeat, Action body)
        {
            var start = Stopwatch.GetTimestamp();
            body();
            backend.ReadSums();     // waits for the device
            if (repeat >= 0) times[name].Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
    }
}
