using System.Diagnostics;
using CudaSae.Model;

namespace CudaSae.Metrics;

/// <summary>How long each phase of one step took on the host's clock. Room for it is taken once; a step writes it
/// over.</summary>
sealed class PhaseTimes
{
    readonly double[] ms = new double[(int)StepPhase.Latents + 1];
    long last;

    /// <summary>The step of these times; 0 if none were recorded.</summary>
    public long Step { get; private set; }

    /// <summary>Milliseconds.</summary>
    public double this[StepPhase phase] => ms[(int)phase];

    internal void Start(long step)
    {
        Step = step;
        last = Stopwatch.GetTimestamp();
    }

    /// <summary>A phase has ended: its time is that since the one before ended.</summary>
    internal void Mark(StepPhase phase)
    {
        var now = Stopwatch.GetTimestamp();
        ms[(int)phase] = Stopwatch.GetElapsedTime(last, now).TotalMilliseconds;
        last = now;
    }
}
