using System.Globalization;
using CudaSae.Distributed;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Runs;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>The summary that train prints before its first step: ten lines, or every setting with --verbose.</summary>
sealed class RunSummary(RunRecord record, RunData data, string folder, bool verbose)
{
    const int PartsShown = 6;

    TrainConfig Config => record.Config;

    SaeSpec Spec => record.Spec;

    /// <summary>Prints the lines that are known before memory is planned.</summary>
    public void Print()
    {
        Line("SAE", $"{record.Preset ?? "fine-tuned"}: {Describe.Selection(Spec)}, {Widths}");
        Line("data", $"{data.TrainRows} rows to train on, {data.Held.Count} held out, {data.Source.Width} wide, "
            + $"{Forms.NameOf(data.Source.Type)}{(data.Source.HasTokens ? ", with token ids" : "")}");
        Line("steps",
            Invariant($"{Config.Steps} of {Config.BatchRows} rows ({Epochs:0.#} epochs), seed {Config.Seed}"));
        Line("optimizer", Invariant($"{Forms.NameOf(Config.Optimizer)}, learning rate {Config.LearningRate}, ")
            + Invariant($"warmup {100 * Config.WarmupFraction:0.#} %, ")
            + Invariant($"decay over the last {100 * Config.DecayFraction:0.#} %"));
        Line("sparsity", Sparsity);
        Line("dead", $"after {Spec.DeadAfterTokens} rows without firing");
        Line("checkpoints", Config.CheckpointEvery > 0 ? $"every {Config.CheckpointEvery} steps" : "at the end");
        Line("folder", folder);
        if (verbose) PrintSettings();
    }

    /// <summary>Prints the memory that the run will take.</summary>
    /// <param name="ranks">The ranks, each of which takes about as much; null for one process.</param>
    public void PrintPlan(MemoryPlan plan, string where, ICollective? ranks)
    {
        if (ranks is not null) Line("ranks", ranks.Description);
        Line("memory", MemoryPlan.Format(plan.TotalBytes)
            + $"{(ranks is null ? "" : $" for one rank of {ranks.Size}")} ({where})");
        if (!verbose) return;
        foreach (var (name, bytes) in plan.Parts.OrderByDescending(p => p.Bytes).Take(PartsShown))
            Console.WriteLine($"  {MemoryPlan.Format(bytes),10}  {name}");
    }

    /// <summary>Prints the backend and why it was chosen.</summary>
    public static void PrintBackend(string description, string why) =>
        Line("backend", SettingSpelling.ForCommandLine($"{description} ({why})"));

    string Widths => Spec.OutputWidth != Spec.InputWidth
        ? $"{Spec.InputWidth} wide to {Spec.OutputWidth}, {Spec.Latents} latents"
        : $"{Spec.InputWidth} wide, {Spec.Latents} latents";

    double Epochs => Math.Min(Config.Vectors, Config.Steps * (double)Config.BatchRows) / Math.Max(1, data.TrainRows);

    string Sparsity
    {
        get
        {
            string[] parts =
            [
                .. Spec.Penalty is { } penalty
                    ? [Invariant($"{penalty.GetType().Name} penalty, coefficient {penalty.Coefficient}")]
                    : Array.Empty<string>(),
                .. Spec.Aux is { } aux
                    ? [Invariant($"AuxK {aux.K}, coefficient {aux.Coefficient}")] : Array.Empty<string>(),
                .. Spec.Ghost is not null ? ["ghost gradients"] : Array.Empty<string>(),
                .. Config.Resampling is { } resampling
                    ? [Invariant($"resampling every {resampling.Every} steps")] : Array.Empty<string>(),
            ];
            return parts.Length > 0 ? string.Join("; ", parts) : "by the selection alone";
        }
    }

    void PrintSettings()
    {
        Console.WriteLine($"spec {SaeRecords.Write(Spec).ToJsonString()}");
        foreach (var (name, value) in SaeRecords.Write(Config).AsObject())
            Console.WriteLine($"config.{name} = {value?.ToJsonString() ?? "null"}");
    }

    static void Line(string name, string text) => Console.WriteLine($"{name,-11} {text}");

    static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
