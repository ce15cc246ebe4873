using CudaSae.Backends;
using CudaSae.Metrics;
using CudaSae.Training;

namespace CudaSae.Cli;

/// <summary>Forwards each report of a run to several observers in turn; null stands for none.</summary>
sealed class Observers(params ITrainingObserver?[] observers) : ITrainingObserver
{
    readonly ITrainingObserver[] all = [.. observers.OfType<ITrainingObserver>()];

    public void Report(StepMetrics metrics)
    {
        foreach (var one in all) one.Report(metrics);
    }

    public void Saved(string path)
    {
        foreach (var one in all) one.Saved(path);
    }

    public void Note(string line)
    {
        foreach (var one in all) one.Note(line);
    }

    public void Stepped(long step, IBackend backend)
    {
        foreach (var one in all) one.Stepped(step, backend);
    }
}
