using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Runs;

/// <summary>The origin of a new run.</summary>
/// <param name="Preset">Name of the preset that spec and config began with; null for none.</param>
/// <param name="Weights">Weights for raw activations to fine-tune; null for new ones.</param>
/// <param name="Folder">The folder of the SAE that is fine-tuned.</param>
sealed record RunOrigin(string? Preset = null, SaeParameters? Weights = null, string? Folder = null);

/// <summary>One training run: its record, its rows and its backend. The commands train, sweep and compare and the toy
/// study use it. A run is made or loaded, gets its backend by <see cref="Open"/>, and its weights by
/// <see cref="Begin"/>; then <see cref="Runner"/> trains, evaluates and saves it.</summary>
sealed class TrainingRun : IDisposable
{
    readonly SaeParameters? weights;        // to fine-tune
    readonly ICollective? ranks;
    readonly RankSettings settings;
    ShardPlan? shard;
    TrainingStart? start;
    bool ordersNow;                         // whether the order of sums was not recorded before
    bool warns;                             // whether a warning on the rows is still to be given
    Runner? runner;

    TrainingRun(RunRecord record, RunData data, string? folder, TrainingStart? start, SaeParameters? weights,
        ICollective? ranks, RankSettings? settings)
    {
        (Record, Data, Folder, this.start, this.weights) = (record, data, folder, start, weights);
        (this.ranks, this.settings) = (ranks, settings ?? RankSettings.Default);
    }

    /// <summary>Creates a run from its record.</summary>
    /// <param name="data">The caller disposes it.</param>
    /// <param name="ranks">The ranks of the run, which all make it; null for one process.</param>
    /// <param name="settings">How the ranks work together. The record has the order of sums.</param>
    public TrainingRun(RunRecord record, RunData data, string folder, ICollective? ranks = null,
        RankSettings? settings = null)
        : this(record, data, folder, null, null, ranks, settings) { }

    /// <summary>The version of the program, MAJOR.MINOR.PATCH.</summary>
    public static string Version => typeof(TrainingRun).Assembly.GetName().Version?.ToString(3) ?? "0";

    /// <summary>The record, with the backend that was chosen and the changes that were made.</summary>
    public RunRecord Record { get; private set; }

    /// <summary>The rows of the run.</summary>
    public RunData Data { get; }

    /// <summary>The folder for the record and the checkpoints; null for a run that is not saved.</summary>
    public string? Folder { get; }

    /// <summary>Scales and starting weights of a new run, which runs of other specs over the same rows may share; null
    /// for a run that was loaded.</summary>
    public TrainingStart? Measured => start;

    /// <summary>Trains, evaluates and saves the run; available after <see cref="Open"/>.</summary>
    public Runner Runner => runner ?? throw new InvalidOperationException("the run has no backend yet");

    /// <summary>Makes a run and measures the scales of its rows.</summary>
    /// <param name="data">The caller disposes it.</param>
    /// <param name="folder">The folder for the record and the checkpoints; null to save nothing.</param>
    /// <param name="like">The start of another run over the same rows with the same seed, whose statistics are used;
    /// null to measure them.</param>
    /// <param name="ranks">The ranks of the run, which all make it; null for one process.</param>
    /// <param name="settings">How the ranks work together.</param>
    /// <exception cref="SaeException">The rows do not have the SAE's width.</exception>
    public static TrainingRun New(RunData data, SaeSpec spec, TrainConfig config, BackendKind kind,
        string? folder = null, RunOrigin? origin = null, TrainingStart? like = null,
        ICollective? ranks = null, RankSettings? settings = null)
    {
        var start = like is null ? new TrainingStart(data.Source, data.TrainRows, spec, config)
            : new TrainingStart(like, spec, config);
        var (scale, names) = (start.Scale, data.Names.Full());
        var record = new RunRecord(spec, config, scale.InputScale, scale.Variance, names.Data, names.HeldOut,
            names.Tensor, data.TrainRows, kind.ToString(), Version)
        {
            Beside = names.Beside, TargetScale = scale.TargetScale, Preset = origin?.Preset, Site = data.Source.Site,
            From = origin?.Folder is { } from ? Path.GetFullPath(from) : null,
            Fingerprint = folder is null ? null : data.Fingerprint, SumOrder = settings?.Order,
        };
        return new(record, data, folder, start, origin?.Weights, ranks, settings) { warns = like is null };
    }

    /// <summary>Makes the backend.</summary>
    /// <param name="plan">Takes the memory plan and the place of that memory, before anything is allocated.</param>
    /// <param name="share">Whether the backend shares its batches with others. It has no pool of rows then.</param>
    /// <returns>One sentence on the choice of the backend.</returns>
    /// <exception cref="SaeException">The backend is not available, or the plan does not fit.</exception>
    public string Open(Action<MemoryPlan, string>? plan = null, bool share = false)
    {
        var kind = Enum.Parse<BackendKind>(Record.Backend);
        string? chosen = null;
        if (ranks is not null) kind = RankDevice.Agreed(kind, ranks, out chosen);
        shard = Share(kind);
        var backend = BackendFactory.Create(kind, Record.Spec, Record.Config, Data.Source.Type,
            plan ?? (static (_, _) => { }), out var why, share ? 0 : Data.TrainRows, shard, chosen);
        runner = new(backend, Data.Source, Data.TrainRows,
            new(Record.InputScale, Record.Variance, Record.TargetScale));
        Record = Record with { Backend = BackendFactory.Taken(kind, backend).ToString() };
        return why;
    }

    /// <summary>Returns the share of this rank. One process has one for sums in fixed point, and otherwise null.
    /// Without a stated order, ranks on the CPU add in a chain, and kernels in the order of the ranks, which the record
    /// then states.</summary>
    ShardPlan? Share(BackendKind kind)
    {
        if (ranks is null)
            return Record.SumOrder == SumOrder.Fixed ? new(new SingleCollective(), Record.Spec, SumOrder.Fixed) : null;
        if (Record.SumOrder is null && kind != BackendKind.Cpu)
        {
            Record = Record with { SumOrder = SumOrder.Ordered };
            ordersNow = true;
        }
        return new(ranks, Record.Spec, Record.SumOrder ?? SumOrder.Chain)
        {
            SharedReading = settings.SharedReading, RowChunks = settings.RowChunks,
        };
    }

    /// <summary>Sets the backend's weights, from the newest checkpoint in the folder or from the start, and saves the
    /// record. A run that was killed before its first checkpoint starts from the beginning. All ranks call it, and rank
    /// 0 writes the record.</summary>
    /// <param name="note">Takes one line on each fact that a person should see.</param>
    /// <param name="changes">Settings that differ from those of the run so far, one line each.</param>
    /// <exception cref="SaeException">The checkpoints are damaged or belong to another run, or the folder cannot be
    /// written.</exception>
    public void Begin(Action<string> note, params ReadOnlySpan<string> changes)
    {
        var resumes = Folder is not null && Checkpoint.Exists(Folder, ranks);
        if (resumes) Runner.Resume(Folder!, note);
        else if (start is null) start = StartAgain(note);
        foreach (var change in changes) Note(change, note);
        NoteSumRanks(note, resumes);
        if (Folder is not null) RankAgreement.OnRoot(ranks, () => Record.Save(Folder));
        if (resumes) return;
        if (warns && start!.Warning is { } warning) note(warning);
        if (weights is null) Runner.Begin(start!);
        else
            using (weights) Runner.Begin(weights);
    }

    void Note(string change, Action<string> note)
    {
        var line = $"from step {Runner.From.Step}: {change}";
        note(line);
        Record = Record with { Changes = [.. Record.Changes, line] };
    }

    /// <summary>Records the numbers of ranks on which the order of sums depends, and notes that they have
    /// changed.</summary>
    void NoteSumRanks(Action<string> note, bool resumes)
    {
        int[]? now = Record.SumOrder == SumOrder.Ordered ? [shard?.Ranks ?? 1, shard?.MachineSize ?? 1] : null;
        var order = now is null ? "" : $"sums in the order of {now[0]} ranks, {now[1]} on a machine; before, of ";
        if (now is not null && Record.SumRanks is { Length: 2 } before && !now.AsSpan().SequenceEqual(before))
            Note($"{order}{before[0]} ranks, {before[1]} on a machine", note);
        else if (ordersNow && resumes) Note($"{order}one process", note);
        Record = Record with { SumRanks = now };
    }

    TrainingStart StartAgain(Action<string> note)
    {
        if (Record.From is { } from)
            throw new SaeException($"{Folder} holds no checkpoint yet; delete it and fine-tune {from} again");
        var again = new TrainingStart(Data.Source, Data.TrainRows, Record.Spec, Record.Config);
        if (again.Scale != Runner.Scale)
            throw new SaeException($"{Folder} holds no checkpoint yet, and its data have changed since; delete it and "
                + "train again");
        warns = true;
        note($"{Folder} holds no checkpoint yet: the run starts from the beginning");
        return again;
    }

    /// <summary>Measures the SAE on the held-out rows.</summary>
    public Evaluation Evaluate() => Runner.Evaluate(Data.Held);

    /// <summary>Frees the backend.</summary>
    public void Dispose() => runner?.Dispose();
}
