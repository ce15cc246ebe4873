using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>The step in progress: its input, its path and its sums.</summary>
/// <param name="levels">Nested reconstructions.</param>
sealed unsafe class CpuStep(int levels)
{
    public StepScalars Scalars;
    public StepSums Sums;
    public StepSums EarlierSums;    // of the step before
    public byte* Input;             // [B, row width] of the input's own type
    public bool Dense;              // whether the step takes the dense training path
    public float CountSlope;        // ∂L/∂Σ1[z > θ]

    // Of a run on several ranks.
    public int MaxRow;              // most entries of a row on all ranks
    public int OwnOverflows;        // rows of which this rank's candidates were computed again

    public void Begin(byte* input, in StepScalars scalars, bool dense)
    {
        (Scalars, EarlierSums) = (scalars, Sums);
        Sums = new() { Step = scalars.Step };
        Input = input;
        Dense = dense;
        (MaxRow, OwnOverflows) = (0, 0);
    }

    /// <summary>Whether the step moves these parameters.</summary>
    public bool Learns(Trainable part) => (Scalars.Trainable & part) != 0;

    /// <summary>The end of one of the step's prefixes; the last one holds all latents.</summary>
    /// <param name="latents">Number of all latents.</param>
    public int EndOf(int level, int latents) => level < levels - 1 ? (int)Scalars.Prefix[level] : latents;

    /// <summary>The first of the step's prefixes that holds a latent.</summary>
    public int LevelOf(int latent)
    {
        var m = 0;
        while (m < levels - 1 && latent >= Scalars.Prefix[m]) m++;
        return m;
    }
}
