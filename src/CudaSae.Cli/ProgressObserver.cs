using CudaSae.Cli.Watch;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>Writes metrics to metrics.jsonl and metrics.csv, to TensorBoard's event files and the watch server if they
/// are enabled, and to the console: a bar with the remaining time on a terminal, plain lines elsewhere.</summary>
sealed class ProgressObserver : ITrainingObserver, IDisposable
{
    readonly MetricsLog log;
    readonly MetricsCsv csv;
    readonly TensorBoardLog? events;
    readonly WatchServer? watch;
    readonly TrainConfig config;
    readonly long firstStep;
    ProgressTask? bar;
    DateTime lastLine;

    /// <param name="firstStep">The step that the run resumes from; null for a new run. Lines that an earlier process
    /// logged after it are removed.</param>
    public ProgressObserver(string folder, TrainConfig config, long? firstStep, bool tensorBoard, WatchServer? watch)
    {
        (this.config, this.firstStep, this.watch) = (config, firstStep ?? 0, watch);
        string lines = Path.Combine(folder, MetricsHistory.FileName), table = Path.Combine(folder, "metrics.csv");
        if (firstStep is { } step)
        {
            MetricsLog.CutBack(lines, step);
            MetricsCsv.CutBack(table, step);
            TensorBoardLog.CutBack(folder, step);
        }
        log = new(lines);
        csv = new(table);
        if (tensorBoard) events = new(folder, this.firstStep);
    }

    public T Show<T>(Func<T> train)
    {
        if (!AnsiConsole.Profile.Capabilities.Interactive || Console.IsOutputRedirected) return train();
        return AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(),
                new RemainingTimeColumn())
            .Start(context =>
        {
            bar = context.AddTask("training", maxValue: config.Steps);
            bar.Increment(firstStep);
            return train();
        });
    }

    public void Report(StepMetrics m)
    {
        log.Write(m);
        csv.Write(m);
        events?.Write(m);
        watch?.Changed(m.Step);
        var line = $"step {m.Step}  loss {m.Loss:0.0000}  FVU {Ratio.Text(m.Fvu, "0.0000")}  L0 {m.L0:0.0}  "
            + $"dead {m.DeadPercent:0.0} %  {m.RowsPerSecond:0} rows/s"
            + (m.ScreeningAudits is { } audits ? $"  screening missed {m.ScreeningMisses} in {audits} audits" : "");
        if (bar is not null)
        {
            bar.Value = m.Step;
            bar.Description = Markup.Escape(line);
        }
        else if (DateTime.UtcNow - lastLine > TimeSpan.FromSeconds(2) || m.Step == config.Steps)
        {
            lastLine = DateTime.UtcNow;
            Console.WriteLine(line);
        }
    }

    public void Saved(string path) { }

    public void Note(string line)
    {
        if (bar is null) Console.WriteLine(line);
        else StyledText.Line($"{line}");
    }

    public void Dispose()
    {
        log.Dispose();
        csv.Dispose();
        events?.Dispose();
    }
}
