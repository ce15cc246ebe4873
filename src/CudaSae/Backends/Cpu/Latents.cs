namespace CudaSae.Backends.Cpu;

/// <summary>latents: when each last fired, who is dead, and the window of dead latents for the next step's AuxK.</summary>
public sealed unsafe partial class CpuBackend
{
    public void TrackLatents()
    {
        for (var entry = 0; entry < B * k; entry++)
            if (value[entry] != 0) lastFired[index[entry]] = (int)scalars.Step;
        FindDead(scalars.Step, scalars.DeadAfterSteps);
        sums.Dead = dead;
    }

    /// <summary>Dead after <paramref name="step"/>, and the window of the step that follows: all of them, or the part that its number turns to.</summary>
    void FindDead(uint step, uint deadAfterSteps)
    {
        dead = 0;
        for (var f = 0; f < n; f++)
        {
            auxSlot[f] = -1;
            if (step - (uint)lastFired[f] >= deadAfterSteps) dead++;
        }
        windowLength = Math.Min(dead, WindowCapacity);
        if (windowLength == 0) return;
        var start = dead > WindowCapacity ? (long)((ulong)(step + 1) * (ulong)WindowCapacity % (ulong)dead) : 0;
        var ordinal = 0L;
        for (var f = 0; f < n; f++)
        {
            if (step - (uint)lastFired[f] < deadAfterSteps) continue;
            var slot = (ordinal++ - start + dead) % dead;
            if (slot >= windowLength) continue;
            window[slot] = f;
            auxSlot[f] = (int)slot;
        }
    }
}
