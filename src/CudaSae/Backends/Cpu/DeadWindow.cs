using CudaSae.Distributed;

namespace CudaSae.Backends.Cpu;

/// <summary>A part of the window of dead latents that one rank holds.</summary>
/// <param name="Rank">The rank.</param>
/// <param name="First">Its first slot within the rank.</param>
/// <param name="Count">Number of slots.</param>
readonly record struct WindowStretch(int Rank, int First, int Count);

/// <summary>The dead latents, the window of them that a step trains, and the gradients of that window.</summary>
sealed unsafe class DeadWindow : CpuPart
{
    readonly long[] counts, places;     // dead latents of each rank; their places in the array
    readonly int capacity;
    readonly int* lastFired;

    public DeadWindow(CpuContext context) : base(context)
    {
        var arena = context.Arena;
        counts = new long[shard?.Ranks ?? 1];
        places = shard?.EqualStarts(1) ?? [];
        Stretches = new(counts.Length + 1);
        capacity = spec.DeadWindow;
        lastFired = context.Buffers.LastFired;
        Latent = arena.Take<int>("dead window", capacity);
        Slot = arena.Take<int>("latent to dead slot", n);
        EncGrad = arena.Take<float>("dead gradient of w_enc", (long)capacity * ld);
        DecGrad = arena.Take<float>("dead gradient of w_dec", (long)capacity * lo);
        BiasGrad = arena.Take<float>("dead gradient of b_enc", capacity);
    }

    /// <summary>Dead latents of all ranks.</summary>
    public int Dead { get; private set; }

    /// <summary>W: latents of the window on this rank.</summary>
    public int Length { get; private set; }

    /// <summary>Latents of the window on all ranks.</summary>
    public int Total { get; private set; }

    /// <summary>The window in the order of its slots, as stretches of one rank each.</summary>
    public List<WindowStretch> Stretches { get; }

    public int* Latent { get; }         // [W]
    public int* Slot { get; }           // [n] slot, or −1
    public float* EncGrad { get; }      // [W, ld]
    public float* DecGrad { get; }      // [W, lo]
    public float* BiasGrad { get; }     // [W]

    /// <summary>Whether the window holds a latent.</summary>
    public bool Holds(int f) => Slot[f] >= 0 && Length > 0;

    public void Clear()
    {
        (Length, Total, Dead) = (0, 0, 0);
        Stretches.Clear();
    }

    /// <summary>Finds the latents that are dead after <paramref name="step"/> and the window of the next step: all of
    /// them, or a part that moves on with the number of the step. Every rank calls it.</summary>
    public void Find(uint step, uint deadAfterSteps)
    {
        Clear();
        var own = 0;
        for (var f = 0; f < n; f++)
        {
            Slot[f] = -1;
            if (step - (uint)lastFired[f] >= deadAfterSteps) own++;
        }
        counts[shard?.Rank ?? 0] = own;
        shard?.Collective.AllGather(counts.AsSpan(), places);
        Dead = (int)Before(counts.Length);
        Total = Math.Min(Dead, capacity);
        if (Total == 0) return;
        var start = Dead > capacity ? (long)((ulong)(step + 1) * (ulong)capacity % (ulong)Dead) : 0;
        Fill(step, deadAfterSteps, start, Before(shard?.Rank ?? 0), own);
        Divide(start);
    }

    /// <summary>Dead latents of the ranks before one.</summary>
    long Before(int rank)
    {
        long sum = 0;
        for (var p = 0; p < rank; p++) sum += counts[p];
        return sum;
    }

    /// <summary>Lists this rank's latents of the window, in the order of the window's slots.</summary>
    /// <param name="start">Number of the dead latent in the window's first slot.</param>
    /// <param name="before">Dead latents of the ranks before this one.</param>
    void Fill(uint step, uint deadAfterSteps, long start, long before, int own)
    {
        // The slots of this rank are contiguous, unless the window starts inside the rank: then the dead latents before
        // the start are in the window's last slots.
        var head = start > before && start < before + own ? Math.Min(before + own - start, Total) : 0;
        var ordinal = before;
        for (var f = 0; f < n; f++)
        {
            if (step - (uint)lastFired[f] < deadAfterSteps) continue;
            var slot = (ordinal - start + Dead) % Dead;
            var place = head == 0 ? ordinal - before : ordinal >= start ? ordinal - start : head + ordinal - before;
            ordinal++;
            if (slot >= Total) continue;
            Latent[place] = f;
            Slot[f] = (int)place;
            Length++;
        }
    }

    /// <summary>Divides the window into stretches of one rank each.</summary>
    void Divide(long start)
    {
        var first = 0;
        for (var end = counts[0]; start >= end; end += counts[++first]) { }
        var before = Before(first);
        var head = before + counts[first] - start;
        long slot = 0;
        slot = Add(slot, first, 0, head);
        for (var next = 1; next < counts.Length; next++)
            slot = Add(slot, (first + next) % counts.Length, 0, counts[(first + next) % counts.Length]);
        Add(slot, first, head, start - before);
    }

    /// <summary>Adds a rank's dead latents to the window, as far as they fit. Returns the next free slot.</summary>
    long Add(long slot, int rank, long place, long count)
    {
        count = Math.Min(count, Total - slot);
        if (count > 0) Stretches.Add(new(rank, (int)place, (int)count));
        return slot + count;
    }
}
