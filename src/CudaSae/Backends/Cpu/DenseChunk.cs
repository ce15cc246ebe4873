using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>The chunk of latents that the dense path processes, and the stretch of it that lies in the same prefixes.
/// Slots number the latents of a chunk.</summary>
sealed unsafe class DenseChunk : CpuPart
{
    readonly int levels;

    public DenseChunk(CpuContext context) : base(context)
    {
        var arena = context.Arena;
        levels = spec.Levels;
        Parts = LatentCut.DenseParts(spec.Latents);
        for (var part = 0; part < parts; part += Parts)
            Width = Math.Max(Width, Latents(Math.Min(part + Parts, parts) - 1).Last - Latents(part).First);
        long W = Width;
        Z = arena.Take<float>("chunk code", W * lanes);
        G = arena.Take<float>("chunk code gradient", W * lanes);
        Gate = arena.Take<float>("chunk gate", context.Gated ? W * lanes : 0);
        Enc = arena.Take<float>("chunk gradient of w_enc", W * ld);
        Dec = arena.Take<float>("chunk gradient of w_dec", W * lo);
        Grad = arena.Take<EntryGradient>("chunk gradient sums", W);
        Gap = arena.Take<double>("chunk gaps", W);
        Above = arena.Take<int>("chunk rows above", W);
    }

    public int Width { get; }           // W: latents of the largest chunk
    public int Parts { get; }           // parts of the optimizer in a chunk
    public int Part { get; private set; }       // the first of them
    public int First { get; private set; }      // the chunk's first latent
    public int Count { get; private set; }
    public int Slot { get; private set; }       // the stretch's first slot
    public int Length { get; private set; }     // and its length
    public int Level { get; private set; }      // the first reconstruction that holds the stretch

    // [W, lanes] z, then the code; ∂code, then ∂⟨w, x⟩; the same of the gate. Forward Z and Gate are [panels][W, 48]
    public float* Z { get; }
    public float* G { get; }
    public float* Gate { get; }
    public float* Enc { get; }          // [W, ld], [W, lo] gradients
    public float* Dec { get; }
    public EntryGradient* Grad { get; }         // [W] sums
    public double* Gap { get; }         // [W] Σ (θ − z) over rows above θ, for the pre-activation loss
    public int* Above { get; }          // [W] the number of those rows

    /// <summary>Moves to the chunk that begins with a part of the latents.</summary>
    public void Set(int part)
    {
        Part = part;
        First = Latents(part).First;
        Count = Latents(Math.Min(part + Parts, parts) - 1).Last - First;
    }

    /// <summary>Moves to the stretch that begins at a slot; false at the end of the chunk.</summary>
    public bool SetStretch(int slot)
    {
        if (slot >= Count) return false;
        (Slot, Level) = (slot, step.LevelOf(firstLatent + First + slot));
        Length = Count - slot;
        if (Level < levels - 1) Length = Math.Min(Length, (int)step.Scalars.Prefix[Level] - firstLatent - First - slot);
        return true;
    }

    /// <summary>Copies the gradients of a latent of the chunk into a pair of rows. Returns the sums over its
    /// entries.</summary>
    public EntryGradient CopyGradient(int f, float* encGrad, float* decGrad)
    {
        var slot = f - First;
        new ReadOnlySpan<float>(Enc + (long)slot * ld, ld).CopyTo(new(encGrad, ld));
        new ReadOnlySpan<float>(Dec + (long)slot * lo, lo).CopyTo(new(decGrad, lo));
        return Grad[slot];
    }
}
