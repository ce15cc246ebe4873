using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Runs;
using CudaSae.Training;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae compare trains every preset on the same rows at one L0 and prints a table. It searches
/// for λ if the method does not set L0 itself.</summary>
static class CompareCommand
{
    /// <param name="Evaluation">The measures; null if the preset was refused.</param>
    /// <param name="Note">The reason for the refusal, or what is missing.</param>
    sealed record Row(string Preset, Evaluation? Evaluation = null, double Coefficient = 0, double MsPerStep = 0,
        double DenseShare = 0, string Note = "");

    /// <summary>Settings that all presets share.</summary>
    sealed record Comparison(
        RunData Data, TrainingStart Start, int Latents, int L0, TrainConfig Basis, int Tries, double Near);

    public static Command Create()
    {
        var data = new Argument<string[]>("data")
        {
            Description = "activation files; none for the shipped ones", Arity = ArgumentArity.ZeroOrMore
        };
        var heldOut = DataOptions.HeldOut();
        var presets = new Option<string[]>("--presets")
        {
            Description = "names, separated by commas or blanks; none for all that need no second file",
            AllowMultipleArgumentsPerToken = true,
        };
        var latents = SpecOptions.Latents();
        var target = Options.New("--l0", "target L0 of all presets", SpecDefaults.K, SpecSettings.K.Values);
        var vectors = Options.New("--vectors", "rows that each run trains on", new TrainConfig().Vectors, 1L,
            long.MaxValue);
        var tries = Options.New("--tries", "most runs of a search for λ", 5, 1, 1000);
        var near = Options.New("--near", "relative distance from the target L0 at which a search ends", 0.08, 0, 1e6);
        var output = new Option<string?>("--out") { Description = "file for the table, in Markdown" };
        var command = new Command("compare",
            "Train every preset on the same rows at one L0 and print a table.") { data, heldOut, presets, latents,
                target, vectors, tries, near, output };
        command.SetAction(parsed =>
        {
            Preset[] all = parsed.GetValue(presets) is { Length: > 0 } given
                ? [.. given.SelectMany(list => list.Split(',')).Distinct().Select(Preset.Named)]
                : [.. Preset.All.Where(p => !p.NeedsTarget)];
            var (n, l0) = (parsed.GetValue(latents), parsed.GetValue(target));
            var (runs, distance) = (parsed.GetValue(tries), parsed.GetValue(near));
            if (l0 < 1 || l0 > n) throw new SaeException($"--l0 {l0} is out of range: it must be 1 to --latents, {n}");
            if (runs < 1) throw new SaeException($"--tries {runs} is out of range: it must be at least 1");
            if (!(distance >= 0)) throw new SaeException($"--near {distance} is out of range: it must be 0 or more");
            var config = new TrainConfig { Vectors = parsed.GetValue(vectors) }.Validate();
            using var files = DataOptions.OpenOrShipped(parsed.GetValue(data) ?? [], parsed.GetValue(heldOut), null);
            if (files.Held.Count == 0)
                throw new SaeException("compare needs held-out rows; give --held-out N, or a second file");
            var plain = new SaeSpec { InputWidth = files.Source.Width, Latents = n, Selection = new Selection.Relu(1) };
            var start = new TrainingStart(files.Source, files.TrainRows, plain.Validate(), config);
            if (start.Warning is { } warning) Console.WriteLine(SettingSpelling.ForCommandLine(warning));
            ChosenBackend.Of(BackendKind.Auto);
            return Run(new(files, start, n, l0, config, runs, distance), all, parsed.GetValue(output));
        });
        return command;
    }

    /// <summary>Adds one row for each preset to the table as soon as the row is known.</summary>
    static int Run(Comparison task, Preset[] presets, string? output)
    {
        if (output is not null) RunFolder.RequireFreeFor(output);
        using var taken = output is null ? null : FolderLock.TakeFile(output, "choose another --out");
        var (rows, members) = (new List<Row>(), new Members());
        foreach (var preset in presets)
        {
            var row = members.Get(preset.Name, () => Search(task, preset, members), Members.IsOfRun);
            rows.Add(row ?? new(preset.Name, Note: members.Refused[^1].Reason));
            Console.WriteLine(Line(rows[^1]));
            if (output is not null) AtomicFile.WriteText(output, Markdown(rows));
        }
        return members.ExitCode;
    }

    /// <summary>Searches with the secant rule on log λ against log L0: L0 falls when λ rises. A λ that fails ends the
    /// search and keeps the best row so far.</summary>
    static Row Search(Comparison task, Preset preset, Members members)
    {
        if (preset.NeedsTarget)
            throw new SaeException("it needs a second file, its target or further sites, and compare reads one; "
                + "use train with --beside");
        var target = task.L0;
        var (spec, config) = preset.Make(task.Data.Widths[0], task.Latents, target, task.Basis);
        spec.Validate();
        if (spec.Penalty is not { } penalty || spec.Penalty is SparsityPenalty.TargetL0)
            return Train(task, preset.Name, spec, config);
        Row? best = null;
        double coefficient = penalty.Coefficient, slope = -1;
        (double LogCoefficient, double LogL0)? last = null;
        for (var attempt = 0; attempt < task.Tries; attempt++)
        {
            Row row;
            var weighed = spec with { Penalty = penalty with { Coefficient = (float)coefficient } };
            try { row = Train(task, preset.Name, weighed.Validate(), config); }
            catch (SaeException e) when (best is not null && Members.IsOfRun(e))
            {
                var why = string.Create(CultureInfo.InvariantCulture,
                    $"λ {coefficient:0.####} failed: {SettingSpelling.ForCommandLine(e.Message)}");
                members.Refuse(preset.Name, why);
                return best with { Note = why };
            }
            var l0 = row.Evaluation!.L0;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"  {preset.Name}: λ {coefficient:0.####} gives L0 {l0:0.0}"));
            if (best is null || Distance(row) < Distance(best)) best = row;
            if (Distance(row) < task.Near) return row;
            var here = (LogCoefficient: Math.Log(coefficient), LogL0: Math.Log(Math.Max(l0, 0.1)));
            if (last is { } before && Math.Abs(here.LogCoefficient - before.LogCoefficient) > 1e-3)
                slope = Math.Clamp((here.LogL0 - before.LogL0) / (here.LogCoefficient - before.LogCoefficient), -5,
                    -0.2);
            last = here;
            coefficient *= Math.Exp(Math.Clamp((Math.Log(target) - here.LogL0) / slope, -2, 2));
        }
        var runs = task.Tries == 1 ? "1 run" : $"{task.Tries} runs";
        return best! with { Note = $"L0 {target} was not reached in {runs}" };

        double Distance(Row row) => Math.Abs(row.Evaluation!.L0 / target - 1);
    }

    static Row Train(Comparison task, string name, SaeSpec spec, TrainConfig config)
    {
        using var run = TrainingRun.New(task.Data, spec, config, BackendKind.Auto, like: task.Start);
        run.Open();
        run.Begin(static _ => { });
        var observer = new Counting();
        var clock = Stopwatch.StartNew();
        run.Runner.Train(null, observer);
        var ms = clock.Elapsed.TotalMilliseconds / config.Steps;
        run.Runner.Prune();
        return new(name, run.Evaluate(), spec.Penalty?.Coefficient ?? 0, ms, observer.DenseShare);
    }

    static string Line(Row r)
    {
        var text = CultureInfo.InvariantCulture;
        string[] measures = r.Evaluation is not { } e ? ["–", "–", "–", "–"]
            :
            [
                e.L0.ToString("0.0", text), Ratio.Text(e.Fvu, "0.0000", text), e.SilentPercent.ToString("0.00", text),
                Ratio.Text(e.Shrinkage, "0.000", text),
            ];
        string[] cells =
        [
            r.Preset, .. measures, r.Coefficient > 0 ? r.Coefficient.ToString("0.###", text) : "",
            r.MsPerStep > 0 ? r.MsPerStep.ToString("0.0", text) : "",
            r.DenseShare > 0 ? r.DenseShare.ToString("0 %", text) : "", r.Note.Replace("|", "\\|"),
        ];
        return $"| {string.Join(" | ", cells)} |";
    }

    static string Markdown(List<Row> rows)
    {
        var text = new StringBuilder("| preset | L0 | FVU | silent % | γ | λ | ms a step | dense steps | note |\n");
        text.Append("|---|---|---|---|---|---|---|---|---|\n");
        foreach (var row in rows) text.Append(Line(row)).Append('\n');
        return text.ToString();
    }

    sealed class Counting : ITrainingObserver
    {
        int dense, all;

        public double DenseShare => all == 0 ? 0 : (double)dense / all;

        public void Report(StepMetrics metrics)
        {
            all++;
            if (metrics.Dense) dense++;
        }

        public void Saved(string path) { }
    }
}
