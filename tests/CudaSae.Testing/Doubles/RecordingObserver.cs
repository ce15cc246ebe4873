using CudaSae.Backends;
using CudaSae.Metrics;
using CudaSae.Training;

namespace CudaSae.Testing.Doubles;

/// <summary>Records what a trainer reports, and runs the given callbacks.</summary>
sealed class RecordingObserver : ITrainingObserver
{
    public List<StepMetrics> Reports { get; } = [];

    public List<string> Notes { get; } = [];

    /// <summary>Paths of the files that the trainer saved.</summary>
    public List<string> Paths { get; } = [];

    public Action<StepMetrics>? OnReport { get; init; }

    public Action<string>? OnSaved { get; init; }

    public Action<long>? OnStep { get; init; }

    /// <summary>Cancels at the report of that step and at every later report. A report is one step late.</summary>
    public static RecordingObserver CancelsAtReport(CancellationTokenSource stop, long step) => new()
    {
        OnReport = metrics =>
        {
            if (metrics.Step >= step) stop.Cancel();
        },
    };

    /// <summary>Cancels after that step and after every later step.</summary>
    public static RecordingObserver CancelsAfterStep(CancellationTokenSource stop, long step) => new()
    {
        OnStep = done =>
        {
            if (done >= step) stop.Cancel();
        },
    };

    public void Report(StepMetrics metrics)
    {
        Reports.Add(metrics);
        OnReport?.Invoke(metrics);
    }

    public void Saved(string path)
    {
        Paths.Add(path);
        OnSaved?.Invoke(path);
    }

    public void Note(string line) => Notes.Add(line);

    public void Stepped(long step, IBackend backend) => OnStep?.Invoke(step);
}
