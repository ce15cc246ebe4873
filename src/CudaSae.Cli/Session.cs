using System.Text;
using CudaSae.Backends;
using CudaSae.Cli.Watch;
using CudaSae.Distributed;
using CudaSae.Files;
using CudaSae.Lab.Insight.Density;
using CudaSae.Lab.Report;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Runs;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>The run of train, finetune or train --resume: its folder, its console lines, its logs and its
/// table.</summary>
sealed class Session : IDisposable
{
    readonly TrainingRun run;
    readonly string folder;
    readonly RunRanks ranks;
    readonly FolderLock? folderLock;        // of rank 0
    readonly bool resumed;

    Session(TrainingRun run, RunRanks ranks, FolderLock? folderLock, bool resumed) =>
        (this.run, folder, this.ranks, this.folderLock, this.resumed) =
        (run, run.Folder!, ranks, folderLock, resumed);

    /// <param name="ranks">The ranks, which all start the run.</param>
    /// <param name="output">Folder of the run; null for a new one that is named by date and time.</param>
    public static Session Start(RunData data, SaeSpec spec, TrainConfig config, BackendKind kind, string? output,
        RunOrigin origin, RunRanks ranks)
    {
        var (folder, folderLock) = ranks.Take(() => RunFolder.New(output, "runs"));
        try
        {
            var run = TrainingRun.New(data, spec, config, kind, folder, origin, ranks: ranks.Collective,
                settings: ranks.Settings);
            return new(run, ranks, folderLock, resumed: false);
        }
        catch
        {
            folderLock?.Dispose();
            throw;
        }
    }

    /// <param name="ranks">The ranks, which all resume the run.</param>
    /// <param name="kind">Another backend than the run began with; null to keep it.</param>
    /// <param name="change">Returns the config of the remaining steps.</param>
    /// <param name="fields">Fields of the config that were named, in snake_case.</param>
    /// <param name="moved">The new place of the same rows; null if they have not moved.</param>
    /// <param name="wait">Time to wait until another process ends that writes the folder.</param>
    public static Session Resume(string folder, RunRanks ranks, BackendKind? kind,
        Func<TrainConfig, TrainConfig> change, IReadOnlyList<string> fields, MovedData? moved = null,
        TimeSpan wait = default)
    {
        RunRecord.Load(folder);     // throws before a lock is created in a folder without a run
        var (_, folderLock) = ranks.Take(() => (folder, RunFolder.Resume(folder, wait)));
        try
        {
            var old = RunRecord.Load(folder);
            ranks.Meet();       // rank 0 writes the record again when the run begins
            var names = new DataNames(old.Data, old.Beside, old.HeldOut, old.Tensor);
            var now = moved?.Over(folder, names, old.Fingerprint) ?? names;
            var record = old with
            {
                Config = change(old.Config),
                Backend = kind?.ToString() ?? old.Backend,
                SumOrder = ranks.Settings.Order ?? old.SumOrder,
                Data = now.Data,
                Beside = now.Beside,
                HeldOut = now.HeldOut,
            };
            string[] changes =
            [
                .. ResumeRules.Describe(old.Spec, old.Config, record.Config, fields),
                .. kind is null ? Array.Empty<string>() : [$"backend {old.Backend} → {kind}"],
                .. (record.SumOrder ?? SumOrder.Chain) == (old.SumOrder ?? SumOrder.Chain) ? Array.Empty<string>()
                    : [$"sum order {old.SumOrder ?? SumOrder.Chain} → {record.SumOrder}"],
                .. MovedData.Describe(names, now),
            ];
            var data = RunData.Reopen(folder, record, Console.WriteLine);
            return new(new(record, data, folder, ranks.Collective, ranks.Settings), ranks, folderLock, resumed: true)
            {
                changes = [.. changes, .. data.Behind is { } behind ? [behind] : Array.Empty<string>()],
            };
        }
        catch
        {
            folderLock?.Dispose();
            throw;
        }
    }

    string[] changes = [];      // applied by a resume
    int densityEvery;           // steps; 0 for no log of densities

    /// <summary>Logs every latent's density at this interval in steps; 0 turns the log off.</summary>
    public Session WithDensity(int every)
    {
        densityEvery = every >= 0 ? every
            : throw new SaeException($"--density-every {every} is out of range: it must be 1 or more, or 0 for none");
        return this;
    }

    /// <param name="verbose">Whether to print every setting before the first step.</param>
    /// <param name="watchPort">Port of 127.0.0.1 that shows the run while it trains; 0 for a free port, null to turn it
    /// off.</param>
    /// <param name="tensorBoard">Whether to write TensorBoard's event files. A resumed run continues to write them if
    /// it did before.</param>
    public int Run(int? watchPort = null, bool tensorBoard = false, bool verbose = false)
    {
        var config = run.Record.Config;
        using var watch = watchPort is { } port && ranks.IsRoot
            ? new WatchServer(port, () => Encoding.UTF8.GetBytes(ReportPage.Html(folder, [], live: true)),
                () => TrainingCurves.Of(folder, run.Record) is { } curves ? [curves] : [])
            : null;
        using var interrupt = new Interrupt();
        var summary = new RunSummary(run.Record, run.Data, folder, verbose);
        summary.Print();
        var why = run.Open((plan, where) => summary.PrintPlan(plan, where, ranks.Collective));
        RunSummary.PrintBackend(run.Runner.Backend.Description, why);
        run.Begin(line => Console.WriteLine(SettingSpelling.ForCommandLine(line)), changes);

        using (var progress = !ranks.IsRoot ? null
            : new ProgressObserver(folder, config, resumed ? run.Runner.From.Step : null,
                tensorBoard || resumed && TensorBoardLog.IsIn(folder), watch))
        {
            using var density = densityEvery > 0
                ? new DensityLog(ranks.IsRoot ? Path.Combine(folder, DensityFile.Name) : null,
                    run.Record.Spec.Latents, config, densityEvery, run.Runner.From.Step)
                : null;
            if (watch is not null) Console.WriteLine($"watch this run at {watch.Url}");
            long Train() => run.Runner.Train(folder, new Observers(progress, density), interrupt.Token);
            var step = progress is null ? Train() : progress.Show(Train);
            if (run.Runner.SkippedRows > 0)
                StyledText.Line($"[yellow]{run.Runner.SkippedRows} rows with NaN or infinity were left out[/]");
            if (step < config.Steps)
            {
                Console.WriteLine($"Stopped at step {step} of {config.Steps}. "
                    + $"Resume it with: cudasae train --resume {folder}");
                return ranks.Agree(interrupt.ExitCode);
            }
        }
        foreach (var note in run.Runner.Save(folder)) StyledText.Line($"{note}");
        if (run.Data.Held.Count > 0 && ranks.Agree(interrupt.ExitCode) == 0)
            EvaluationTable.Print(run.Evaluate(), run.Record.Spec);
        StyledText.Line($"Saved in [bold]{folder}[/]");
        return ranks.Agree(interrupt.ExitCode);
    }

    public void Dispose()
    {
        run.Dispose();
        if (resumed) run.Data.Dispose();        // the caller owns the data of a new run
        folderLock?.Dispose();
    }
}
