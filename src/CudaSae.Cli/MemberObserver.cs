using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae.Cli;

/// <summary>Writes the metrics and notes.txt of a sweep's member to its folder. Prints a line to the console at
/// intervals, for the member that reports at that moment.</summary>
sealed class MemberObserver(string folder, string name, TrainConfig config, MemberObserver.Lines lines)
    : ITrainingObserver, IDisposable
{
    /// <summary>Console lines that all members of a group share.</summary>
    public sealed class Lines
    {
        const double EverySeconds = 5;

        DateTime last = DateTime.UtcNow;

        public void Write(Func<string> line)
        {
            if ((DateTime.UtcNow - last).TotalSeconds < EverySeconds) return;
            last = DateTime.UtcNow;
            Console.WriteLine(line());
        }
    }

    readonly MetricsLog log = new(Path.Combine(folder, "metrics.jsonl"));
    readonly MetricsCsv csv = new(Path.Combine(folder, "metrics.csv"));

    public void Report(StepMetrics m)
    {
        log.Write(m);
        csv.Write(m);
        lines.Write(() => $"step {m.Step} of {config.Steps}  {name}  FVU {Ratio.Text(m.Fvu, "0.0000")}  "
            + $"L0 {m.L0:0.0}  dead {m.DeadPercent:0.0} %");
    }

    public void Saved(string path) { }

    public void Note(string line) => File.AppendAllText(Path.Combine(folder, "notes.txt"), line + "\n");

    public void Dispose()
    {
        log.Dispose();
        csv.Dispose();
    }
}
