using System.Reflection;
using System.Text;
using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Checkpoints;
using CudaSae.Cli.Watch;
using CudaSae.Data;
using CudaSae.Formats;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Report;
using CudaSae.Training;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>One run from its record to its table: shared by a new run and a resumed one.</summary>
sealed class Session
{
    readonly DataFiles files;
    RunRecord record;
    readonly string folder;
    readonly BackendKind kind;
    readonly bool resumed;

    Session(DataFiles files, RunRecord record, string folder, BackendKind kind, bool resumed) =>
        (this.files, this.record, this.folder, this.kind, this.resumed) = (files, record, folder, kind, resumed);

    public static Session Start(DataFiles files, SaeSpec spec, TrainConfig config, BackendKind kind, string? output, (SaeParameters Weights, string Folder)? from = null)
    {
        var folder = output ?? Path.Combine("runs", DateTime.Now.ToString("yyyy-MM-dd_HH-mm-ss"));
        if (File.Exists(Path.Combine(folder, RunRecord.FileName))) throw new SaeException($"{folder} already holds a run; choose another --out, or go on with --resume {folder}");
        var start = new TrainingStart(files.Source, files.TrainRows, spec, config);
        var version = Assembly.GetExecutingAssembly().GetName().Version?.ToString(3) ?? "0";
        var record = new RunRecord(spec, config, start.Scale.InputScale, start.Scale.Variance, [.. files.Paths.Select(Path.GetFullPath)],
            files.HeldOut is null || long.TryParse(files.HeldOut, out _) ? files.HeldOut : Path.GetFullPath(files.HeldOut), files.Tensor, files.TrainRows, kind.ToString(), version)
        {
            Beside = [.. files.Beside.Select(Path.GetFullPath)], TargetScale = start.Scale.TargetScale, From = from is { } f ? Path.GetFullPath(f.Folder) : null,
        };
        return new(files, record, folder, kind, resumed: false) { start = start, weights = from?.Weights };
    }

    /// <param name="kind">Another backend than the run began with; null for the same.</param>
    /// <param name="change">Makes the config from here on.</param>
    /// <param name="fields">Fields of the config that were named, in snake_case.</param>
    public static Session Resume(string folder, BackendKind? kind, Func<TrainConfig, TrainConfig> change, IReadOnlyList<string> fields)
    {
        var old = RunRecord.Load(folder);
        var record = old with { Config = change(old.Config), Backend = kind?.ToString() ?? old.Backend };
        string[] changes = [.. ResumeRules.Describe(old.Spec, old.Config, record.Config, fields), .. kind is null ? Array.Empty<string>() : [$"backend {old.Backend} → {kind}"]];
        var files = DataFiles.Open(record.Data, record.HeldOut, record.Tensor, record.Beside);
        if (files.TrainRows != record.TrainRows) throw new SaeException($"the data of {folder} had {record.TrainRows} training rows and now have {files.TrainRows}; put the old files back");
        return new(files, record, folder, Enum.Parse<BackendKind>(record.Backend), resumed: true) { changes = changes };
    }

    string[] changes = [];      // at resume
    TrainingStart? start;
    SaeParameters? weights;     // to fine-tune, of raw activations

    /// <param name="watchPort">Shows the run on this port of 127.0.0.1 while it goes on, 0 for a free one; null for not at all.</param>
    /// <param name="tensorBoard">Writes TensorBoard's events too; a run that is gone on with does where it did before.</param>
    public int Run(int? watchPort = null, bool tensorBoard = false)
    {
        using var watch = watchPort is { } port ? new WatchServer(port, () => Encoding.UTF8.GetBytes(ReportPage.Html(folder, [], live: true)), () => TrainingCurves.Of(folder, record) is { } curves ? [curves] : []) : null;
        Describe();
        using var backend = BackendFactory.Create(kind, record.Spec, record.Config, files.Source.Type, PrintPlan, out var why);
        AnsiConsole.MarkupLineInterpolated($"[bold]{backend.Description}[/] ({why})");
        var scale = new DataScale(record.InputScale, record.Variance, record.TargetScale);
        var from = resumed && Checkpoint.Exists(folder) ? Restore(backend) : Begin(backend, scale);

        bool finished;
        using (var interrupt = new Interrupt())
        using (var progress = new ProgressObserver(folder, record.Config, resumed ? from.Step : null, tensorBoard || resumed && TensorBoardLog.IsIn(folder), watch))
        {
            var ceilings = backend is CpuBackend ? Ceilings.MeasureCpu() : (Ceilings?)null;
            var trainer = new Trainer(backend, files.Source, files.TrainRows, scale, folder, progress, ceilings);
            if (watch is not null) Console.WriteLine($"watch this run at {watch.Url}");
            finished = progress.Show(() => trainer.Run(from, interrupt.Token));
            if (trainer.SkippedRows > 0) AnsiConsole.MarkupLineInterpolated($"[yellow]{trainer.SkippedRows} rows with NaN or infinity were left out[/]");
            if (!finished)
            {
                AnsiConsole.MarkupLineInterpolated($"Stopped at step {trainer.Step} of {record.Config.Steps}. Go on with: cudasae train --resume {folder}");
                return 130;
            }
        }
        Save(backend);
        Report(backend, scale);
        return 0;
    }

    /// <summary>The first weights. A run that was killed before its first checkpoint begins again.</summary>
    CheckpointPosition Begin(IBackend backend, DataScale scale)
    {
        if (resumed) StartAgain(scale);
        record.Save(folder);        // also finds out early whether the folder can be written
        using var parameters = weights ?? start!.Weights(record.Spec, record.Config);
        if (weights is not null) Export.FoldScales(record.Spec, parameters, 1 / scale.InputScale, 1 / scale.TargetScale);
        backend.SetParameters(parameters);
        return default;
    }

    void StartAgain(DataScale scale)
    {
        if (record.From is { } from) throw new SaeException($"{folder} holds no checkpoint yet; delete it and fine-tune {from} again");
        start = new TrainingStart(files.Source, files.TrainRows, record.Spec, record.Config);
        if (start.Scale != scale) throw new SaeException($"{folder} holds no checkpoint yet, and its data have changed since; delete it and train again");
        Console.WriteLine($"{folder} holds no checkpoint yet: from the beginning");
        NoteChanges(0);
    }

    /// <summary>The state, then the record: what was changed is written down once it is known to go on from here.</summary>
    CheckpointPosition Restore(IBackend backend)
    {
        var from = Checkpoint.Restore(folder, backend, Schedules.DeadAfterSteps(record.Spec, record.Config), Console.WriteLine);
        ResumeRules.RequireAhead(record.Config, from.Step);
        NoteChanges(from.Step);
        record.Save(folder);
        return from;
    }

    void NoteChanges(long step)
    {
        string[] lines = [.. changes.Select(change => $"from step {step}: {change}")];
        foreach (var line in lines) Console.WriteLine(line);
        record = record with { Changes = [.. record.Changes, .. lines] };
    }

    void Describe()
    {
        var table = new Table().Border(TableBorder.None).HideHeaders().AddColumns("", "");
        AnsiConsole.MarkupLineInterpolated($"{SaeRecords.Write(record.Spec).ToJsonString()}");
        foreach (var property in typeof(TrainConfig).GetProperties()) table.AddRow(property.Name, Markup.Escape($"{property.GetValue(record.Config)}"));
        AnsiConsole.MarkupLineInterpolated($"{files.TrainRows} rows to train on, {files.HeldRows} held out, {files.Source.Width} wide, {files.Source.Type}{(files.Source.HasTokens ? ", with token ids" : "")}");
        AnsiConsole.Write(table);
    }

    static void PrintPlan(MemoryPlan plan, string where)
    {
        AnsiConsole.MarkupLineInterpolated($"Memory on {where}: [bold]{MemoryPlan.Format(plan.TotalBytes)}[/]");
        foreach (var (name, bytes) in plan.Parts.OrderByDescending(p => p.Bytes).Take(6)) AnsiConsole.MarkupLineInterpolated($"  {MemoryPlan.Format(bytes),10}  {name}");
    }

    void Save(IBackend backend)
    {
        using var parameters = new SaeParameters(record.Spec);
        backend.GetParameters(parameters);
        Save(folder, parameters);
        if (record.Config.EmaDecay <= 0) return;
        backend.GetAverage(parameters);
        Save(Path.Combine(folder, "average"), parameters);
    }

    void Save(string to, SaeParameters parameters)
    {
        var (spec, config) = (record.Spec, record.Config);
        var pruned = Export.Finish(spec, config, parameters, new(record.InputScale, record.Variance, record.TargetScale));
        if (config.PruneBelow > 0) AnsiConsole.MarkupLineInterpolated($"{pruned} latents of decoder norm below {config.PruneBelow} pruned");
        foreach (var note in new SaeModel(spec, parameters).Save(to)) AnsiConsole.MarkupLineInterpolated($"{note}");
        if (spec.Selection is not Selection.Gated) return;
        var (jump, same) = Export.AsJumpRelu(spec, parameters);
        using (same) new SaeModel(jump, same).Save(Path.Combine(to, "jumprelu"));
    }

    void Report(IBackend backend, DataScale scale)
    {
        if (files.HeldRows > 0) EvaluationTable.Print(Evaluator.Run(backend, files.Held, files.FirstHeld, files.HeldRows, scale));
        AnsiConsole.MarkupLineInterpolated($"Saved in [bold]{folder}[/]");
    }
}

/// <summary>Ctrl-C asks the run to save and stop; a second one ends the process at once.</summary>
sealed class Interrupt : IDisposable
{
    readonly CancellationTokenSource source = new();

    public Interrupt() => Console.CancelKeyPress += Cancel;

    public CancellationToken Token => source.Token;

    void Cancel(object? sender, ConsoleCancelEventArgs e)
    {
        e.Cancel = !source.IsCancellationRequested;
        source.Cancel();
    }

    public void Dispose()
    {
        Console.CancelKeyPress -= Cancel;
        source.Dispose();
    }
}
