using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using CudaSae.Backends;
using CudaSae.Data;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Training;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>cudasae compare: every preset on the same rows at one L0, as a table. λ is searched for where the method does not set L0 itself.</summary>
static class CompareCommand
{

    sealed record Row(string Preset, Evaluation Evaluation, double Coefficient, double MsPerStep, double DenseShare);

    public static Command Create()
    {
        var data = new Argument<string[]>("data") { Description = "activation files; none for the shipped ones", Arity = ArgumentArity.ZeroOrMore };
        var heldOut = new Option<string?>("--held-out") { Description = "rows at the end of the data that are kept for evaluation, or a file of such rows" };
        var presets = new Option<string[]>("--presets") { Description = "names; none for all that need no second file", AllowMultipleArgumentsPerToken = true };
        var latents = Options.New("--latents", "n", 4096, 1, 1 << 26);
        var active = Options.New("--l0", "the L0 that all are brought to", 32, 1, SaeSpec.MaxActive);
        var vectors = Options.New("--vectors", "rows that each run sees", new TrainConfig().Vectors, 1L, long.MaxValue);
        var tries = Options.New("--tries", "runs that a search for λ may take", 5, 1, 1000);
        var near = Options.New("--near", "relative distance from the wanted L0 at which a search ends", 0.08, 0, 1e6);
        var output = new Option<string?>("--out") { Description = "file for the table, in Markdown" };
        var command = new Command("compare", "Train every preset on the same rows at one L0 and tabulate.") { data, heldOut, presets, latents, active, vectors, tries, near, output };
        command.SetAction(parsed =>
        {
            using var files = DataFiles.OpenOrShipped(parsed.GetValue(data) ?? [], parsed.GetValue(heldOut), null);
            var names = parsed.GetValue(presets) is { Length: > 0 } given ? given.Select(Preset.Named) : Preset.All.Where(p => !p.NeedsTarget);
            var rows = new List<Row>();
            foreach (var preset in names)
            {
                rows.Add(Search(files, preset, parsed.GetValue(latents), parsed.GetValue(active), parsed.GetValue(vectors), parsed.GetValue(tries), parsed.GetValue(near)));
                var r = rows[^1];
                Console.WriteLine(Line(r));
                if (parsed.GetValue(output) is { } path) AtomicFile.WriteText(path, Markdown(rows));
            }
            return 0;
        });
        return command;
    }

    /// <summary>The secant rule on log λ against log L0; λ rises, L0 falls.</summary>
    static Row Search(DataFiles files, Preset preset, int latents, int active, long vectors, int tries, double near)
    {
        var spec = preset.Spec(files.Widths[0], latents, active).Validate();
        var config = preset.Config(new() { Vectors = vectors });
        if (spec.Penalty is not { } penalty || spec.Penalty is SparsityPenalty.TargetL0) return Train(files, preset.Name, spec, config);
        Row? best = null;
        double coefficient = penalty.Coefficient, slope = -1;
        (double LogCoefficient, double LogL0)? last = null;
        for (var attempt = 0; attempt < tries; attempt++)
        {
            var row = Train(files, preset.Name, spec with { Penalty = penalty with { Coefficient = (float)coefficient } }, config);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {preset.Name}: λ {coefficient:0.####} gives L0 {row.Evaluation.L0:0.0}"));
            if (best is null || Distance(row) < Distance(best)) best = row;
            if (Distance(row) < near) break;
            var here = (LogCoefficient: Math.Log(coefficient), LogL0: Math.Log(Math.Max(row.Evaluation.L0, 0.1)));
            if (last is { } before && Math.Abs(here.LogCoefficient - before.LogCoefficient) > 1e-3)
                slope = Math.Clamp((here.LogL0 - before.LogL0) / (here.LogCoefficient - before.LogCoefficient), -5, -0.2);
            last = here;
            coefficient *= Math.Exp(Math.Clamp((Math.Log(active) - here.LogL0) / slope, -2, 2));
        }
        return best!;

        double Distance(Row row) => Math.Abs(row.Evaluation.L0 / active - 1);
    }

    static Row Train(DataFiles files, string name, SaeSpec spec, TrainConfig config)
    {
        var start = new TrainingStart(files.Source, files.TrainRows, spec, config);
        using var runner = new Runner(BackendFactory.Create(BackendKind.Auto, spec, config, files.Source.Type, static (_, _) => { }, out _, files.TrainRows), files.Source, files.TrainRows, start.Scale);
        runner.Begin(start);
        var observer = new Counting();
        var clock = Stopwatch.StartNew();
        runner.Train(null, observer);
        var ms = clock.Elapsed.TotalMilliseconds / config.Steps;
        runner.Prune();
        return new(name, runner.Evaluate(files.Held, files.FirstHeld, files.HeldRows), spec.Penalty?.Coefficient ?? 0, ms, observer.DenseShare);
    }

    static string Line(Row r)
    {
        var (e, text) = (r.Evaluation, CultureInfo.InvariantCulture);
        string[] cells =
        [
            r.Preset, e.L0.ToString("0.0", text), e.Fvu.ToString("0.0000", text), e.SilentPercent.ToString("0.00", text), e.Shrinkage.ToString("0.000", text),
            r.Coefficient > 0 ? r.Coefficient.ToString("0.###", text) : "", r.MsPerStep.ToString("0.0", text), r.DenseShare > 0 ? r.DenseShare.ToString("0 %", text) : "",
        ];
        return $"| {string.Join(" | ", cells)} |";
    }

    static string Markdown(List<Row> rows)
    {
        var text = new StringBuilder("| preset | L0 | FVU | silent % | γ | λ | ms a step | dense steps |\n|---|---|---|---|---|---|---|---|\n");
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
