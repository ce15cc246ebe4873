using CudaSae.Backends;
using CudaSae.Metrics;
using CudaSae.Training;

namespace CudaSae.Testing.Doubles;

/// <summary>Records what a trainer reports. What it is given beside that runs at each report.</summary>
sealed class RecordingObserver : ITrainingObserver
{
    public List<StepMetrics> Reports { get; } = [];

    public List<string> Notes { get; } = [];

    /// <summary>The files that the trainer saved.</summary>
    public List<string> Paths { get; } = [];

    public Action<StepMetrics>? OnReport { get; init; }

    public Action<string>? OnSaved { get; init; }

    public Action<long>? OnStep { get; init; }

    /// <summary>Cancels at the report of that step, and at those of later ones. A report is one step late.</summary>
    public static RecordingObserver CancelsAtReport(CancellationTokenSource stop, long step) => new()
    {
        OnReport = metrics =>
        {
            if (metrics.Step >= step) stop.Cancel();
        },
    };

    /// <summary>Cancels after that step, and after later ones.</summary>
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
