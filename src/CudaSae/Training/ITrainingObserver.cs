using CudaSae.Backends;
using CudaSae.Metrics;

namespace CudaSae.Training;

/// <summary>What a trainer tells while it runs.</summary>
interface ITrainingObserver
{
    /// <summary>Every LogEvery steps, one step late.</summary>
    void Report(StepMetrics metrics);
    void Saved(string path);

    /// <summary>An event for the log: the path changed, or latents were resampled.</summary>
    void Note(string line) { }

    /// <summary>After every step, before the next one begins: for those who count latents. Reading from the backend
    /// waits for the step.</summary>
    void Stepped(long step, IBackend backend) { }
}
