namespace CudaSae.Backends.Cpu;

/// <summary>The dead latents, the window of them that a step trains, and the gradients of that window.</summary>
sealed unsafe class DeadWindow : CpuPart
{
    readonly int capacity;
    readonly int* lastFired;

    public DeadWindow(CpuContext context) : base(context)
    {
        var arena = context.Arena;
        capacity = spec.DeadWindow;
        lastFired = context.Buffers.LastFired;
        Latent = arena.Take<int>("dead window", capacity);
        Slot = arena.Take<int>("latent to dead slot", n);
        EncGrad = arena.Take<float>("dead gradient of w_enc", (long)capacity * ld);
        DecGrad = arena.Take<float>("dead gradient of w_dec", (long)capacity * lo);
        BiasGrad = arena.Take<float>("dead gradient of b_enc", capacity);
    }

    /// <summary>Dead latents.</summary>
    public int Dead { get; private set; }

    /// <summary>W: latents of the window.</summary>
    public int Length { get; private set; }

    public int* Latent { get; }         // [W]
    public int* Slot { get; }           // [n] slot, or −1
    public float* EncGrad { get; }      // [W, ld]
    public float* DecGrad { get; }      // [W, lo]
    public float* BiasGrad { get; }     // [W]

    /// <summary>Whether the window holds a latent.</summary>
    public bool Holds(int f) => Slot[f] >= 0 && Length > 0;

    public void Clear() => (Length, Dead) = (0, 0);

    /// <summary>Finds the latents that are dead after <paramref name="step"/> and the window of the next step: all of
    /// them, or a part that moves on with the number of the step.</summary>
    public void Find(uint step, uint deadAfterSteps)
    {
        Dead = 0;
        for (var f = 0; f < n; f++)
        {
            Slot[f] = -1;
            if (step - (uint)lastFired[f] >= deadAfterSteps) Dead++;
        }
        Length = Math.Min(Dead, capacity);
        if (Length == 0) return;
        var start = Dead > capacity ? (long)((ulong)(step + 1) * (ulong)capacity % (ulong)Dead) : 0;
        var ordinal = 0L;
        for (var f = 0; f < n; f++)
        {
            if (step - (uint)lastFired[f] < deadAfterSteps) continue;
            var slot = (ordinal++ - start + Dead) % Dead;
            if (slot >= Length) continue;
            Latent[slot] = f;
            Slot[f] = (int)slot;
        }
    }
}
