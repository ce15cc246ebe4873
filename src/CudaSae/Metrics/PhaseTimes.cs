using System.Diagnostics;
using CudaSae.Model;

namespace CudaSae.Metrics;

/// <summary>The duration of each phase of one step on the host's clock. The memory is allocated once, and each step
/// overwrites it.</summary>
sealed class PhaseTimes
{
    readonly double[] ms = new double[(int)StepPhase.Latents + 1];
    long last;

    /// <summary>The step of these times; 0 if none were recorded.</summary>
    public long Step { get; private set; }

    /// <summary>Duration of a phase in milliseconds.</summary>
    public double this[StepPhase phase] => ms[(int)phase];

    internal void Start(long step)
    {
        Step = step;
        last = Stopwatch.GetTimestamp();
    }

    /// <summary>Ends a phase; its duration is the time since the end of the previous phase.</summary>
    internal void Mark(StepPhase phase)
    {
        var now = Stopwatch.GetTimestamp();
        ms[(int)phase] = Stopwatch.GetElapsedTime(last, now).TotalMilliseconds;
        last = now;
    }
}
