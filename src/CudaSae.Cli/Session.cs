using System.Reflection;
using System.Text;
using CudaSae.Backends;
using CudaSae.Cli.Watch;
using CudaSae.Files;
using CudaSae.Lab.Insight.Density;
using CudaSae.Lab.Report;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Runs;
using CudaSae.Training;
using CudaSae.Training.Checkpoints;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>One run from its record to its table: shared by a new run and a resumed one.</summary>
sealed class Session : IDisposable
{
    readonly DataFiles files;
    RunRecord record;
    readonly string folder;
    readonly FolderLock folderLock;
    readonly BackendKind kind;
    readonly bool resumed;

    Session(DataFiles files, RunRecord record, string folder, FolderLock folderLock, BackendKind kind, bool resumed) =>
        (this.files, this.record, this.folder, this.folderLock, this.kind, this.resumed) =
            (files, record, folder, folderLock, kind, resumed);

    /// <summary>Of this program.</summary>
    public static string Version => Assembly.GetExecutingAssembly().GetName().Version?.ToString(3) ?? "0";

    /// <param name="output">Folder of the run; null for a new one that is named by date and time.</param>
    /// <param name="from">Weights to fine-tune, and the folder of their SAE.</param>
    /// <param name="preset">The recipe that spec and config began with.</param>
    public static Session Start(DataFiles files, SaeSpec spec, TrainConfig config, BackendKind kind, string? output,
        (SaeParameters Weights, string Folder)? from = null, string? preset = null)
    {
        var (folder, folderLock) = RunFolder.New(output, "runs");
        try
        {
            var start = new TrainingStart(files.Source, files.TrainRows, spec, config);
            var record = new RunRecord(spec, config, start.Scale.InputScale, start.Scale.Variance,
                [.. files.Paths.Select(Path.GetFullPath)], files.FullHeldOut, files.Tensor, files.TrainRows,
                kind.ToString(), Version)
            {
                Beside = [.. files.Beside.Select(Path.GetFullPath)], TargetScale = start.Scale.TargetScale,
                From = from is { } f ? Path.GetFullPath(f.Folder) : null, Preset = preset,
                Site = files.Source.Site, Fingerprint = files.Fingerprint,
            };
            return new(files, record, folder, folderLock, kind, resumed: false)
            {
                start = start, weights = from?.Weights,
            };
        }
        catch
        {
            folderLock.Dispose();
            throw;
        }
    }

    /// <param name="kind">Another backend than the run began with; null for the same.</param>
    /// <param name="change">Makes the config from here on.</param>
    /// <param name="fields">Fields of the config that were named, in snake_case.</param>
    /// <param name="moved">Where the same rows are now; null for where they were.</param>
    public static Session Resume(string folder, BackendKind? kind, Func<TrainConfig, TrainConfig> change,
        IReadOnlyList<string> fields, MovedData? moved = null)
    {
        RunRecord.Load(folder);     // before a lock is made in a folder that holds no run
        var folderLock = RunFolder.Resume(folder);
        try
        {
            var old = RunRecord.Load(folder);
            var names = new DataNames(old.Data, old.Beside, old.HeldOut, old.Tensor);
            var now = moved?.Over(folder, names, old.Fingerprint) ?? names;
            var record = old with
            {
                Config = change(old.Config),
                Backend = kind?.ToString() ?? old.Backend,
                Data = now.Data,
                Beside = now.Beside,
                HeldOut = now.HeldOut,
            };
            string[] changes =
            [
                .. ResumeRules.Describe(old.Spec, old.Config, record.Config, fields),
                .. kind is null ? Array.Empty<string>() : [$"backend {old.Backend} → {kind}"],
                .. MovedData.Describe(names, now),
            ];
            var files = RunData.Reopen(folder, record);
            return new(files, record, folder, folderLock, Enum.Parse<BackendKind>(record.Backend), resumed: true)
            {
                changes = [.. changes, .. files.Behind is { } behind ? [behind] : Array.Empty<string>()],
            };
        }
        catch
        {
            folderLock.Dispose();
            throw;
        }
    }

    string[] changes = [];      // at resume
    TrainingStart? start;
    SaeParameters? weights;     // to fine-tune, of raw activations
    int densityEvery;           // steps; 0 for no log of densities

    /// <summary>Logs every latent's density every so many steps; 0 for never.</summary>
    public Session WithDensity(int every)
    {
        densityEvery = every >= 0 ? every
            : throw new SaeException($"--density-every {every} is out of range: it must be 1 or more, or 0 for none");
        return this;
    }

    /// <param name="verbose">Prints every setting before the first step.</param>
    /// <param name="watchPort">Shows the run on this port of 127.0.0.1 while it goes on, 0 for a free one; null for not
    /// at all.</param>
    /// <param name="tensorBoard">Also writes TensorBoard's events. A resumed run keeps writing them if it did
    /// before.</param>
    public int Run(int? watchPort = null, bool tensorBoard = false, bool verbose = false)
    {
        using var watch = watchPort is { } port
            ? new WatchServer(port, () => Encoding.UTF8.GetBytes(ReportPage.Html(folder, [], live: true)),
                () => TrainingCurves.Of(folder, record) is { } curves ? [curves] : [])
            : null;
        using var interrupt = new Interrupt();
        var summary = new RunSummary(record, files, folder, verbose);
        summary.Print();
        var scale = new DataScale(record.InputScale, record.Variance, record.TargetScale);
        using var runner = new Runner(BackendFactory.Create(kind, record.Spec, record.Config, files.Source.Type,
            summary.PrintPlan, out var why, files.TrainRows), files.Source, files.TrainRows, scale);
        record = record with { Backend = BackendFactory.Taken(kind, runner.Backend).ToString() };
        RunSummary.PrintBackend(runner.Backend.Description, why);
        if (resumed && Checkpoint.Exists(folder)) Restore(runner);
        else Begin(runner);

        using (var progress = new ProgressObserver(folder, record.Config, resumed ? runner.From.Step : null,
            tensorBoard || resumed && TensorBoardLog.IsIn(folder), watch))
        {
            using var density = densityEvery > 0
                ? new DensityLog(Path.Combine(folder, DensityFile.Name), record.Spec.Latents, record.Config,
                    densityEvery, runner.From.Step)
                : null;
            if (watch is not null) Console.WriteLine($"watch this run at {watch.Url}");
            var step = progress.Show(() =>
                runner.Train(folder, density is null ? progress : new Observers(progress, density), interrupt.Token));
            if (runner.SkippedRows > 0)
                StyledText.Line($"[yellow]{runner.SkippedRows} rows with NaN or infinity were left out[/]");
            if (step < record.Config.Steps)
            {
                Console.WriteLine($"Stopped at step {step} of {record.Config.Steps}. "
                    + $"Resume it with: cudasae train --resume {folder}");
                return interrupt.ExitCode;
            }
        }
        foreach (var note in runner.Save(folder)) StyledText.Line($"{note}");
        if (files.HeldRows > 0 && interrupt.ExitCode == 0)
            EvaluationTable.Print(runner.Evaluate(files.Held, files.FirstHeld, files.HeldRows), record.Spec);
        StyledText.Line($"Saved in [bold]{folder}[/]");
        return interrupt.ExitCode;
    }

    /// <summary>The first weights. A run that was killed before its first checkpoint begins again.</summary>
    void Begin(Runner runner)
    {
        if (resumed) StartAgain(runner.Scale);
        record.Save(folder);        // also finds out early whether the folder can be written
        if (start!.Warning is { } warning) Console.WriteLine(warning);
        if (weights is null) runner.Begin(start);
        else
            using (weights) runner.Begin(weights);
    }

    void StartAgain(DataScale scale)
    {
        if (record.From is { } from)
            throw new SaeException($"{folder} holds no checkpoint yet; delete it and fine-tune {from} again");
        start = new TrainingStart(files.Source, files.TrainRows, record.Spec, record.Config);
        if (start.Scale != scale)
            throw new SaeException($"{folder} holds no checkpoint yet, and its data have changed since; delete it and "
                + "train again");
        Console.WriteLine($"{folder} holds no checkpoint yet: from the beginning");
        NoteChanges(0);
    }

    /// <summary>The state, then the record: what was changed is written down once it is known to go on from
    /// here.</summary>
    void Restore(Runner runner)
    {
        runner.Resume(folder, Console.WriteLine);
        NoteChanges(runner.From.Step);
        record.Save(folder);
    }

    void NoteChanges(long step)
    {
        string[] lines = [.. changes.Select(change => $"from step {step}: {change}")];
        foreach (var line in lines) Console.WriteLine(line);
        record = record with { Changes = [.. record.Changes, .. lines] };
    }

    public void Dispose()
    {
        if (resumed) files.Dispose();       // of a new run they are the caller's
        folderLock.Dispose();
    }
}
