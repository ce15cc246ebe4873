using CudaSae.Backends;
using CudaSae.Metrics;

namespace CudaSae.Training;

/// <summary>Receives the events of a training run.</summary>
interface ITrainingObserver
{
    /// <summary>Receives the metrics of a step, every LogEvery steps and one step late.</summary>
    void Report(StepMetrics metrics);
    void Saved(string path);

    /// <summary>Receives a line for the log, such as a change of path or a resampling.</summary>
    void Note(string line) { }

    /// <summary>Called after every step, before the next one starts. Reads from the backend wait for the
    /// step.</summary>
    void Stepped(long step, IBackend backend) { }
}
