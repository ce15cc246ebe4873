using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>The penalties of the entries of a row.</summary>
sealed unsafe class RowPenalties : CpuPart
{
    readonly LatentMath math;
    readonly LatentScalars* latents;
    readonly int* index;
    readonly float* penalized;
    readonly bool annealed;

    public RowPenalties(CpuContext context) : base(context)
    {
        var buffers = context.Buffers;
        math = context.Math;
        latents = buffers.Latents;
        index = buffers.Index;
        penalized = context.Gated ? buffers.PreAct : buffers.Value;
        annealed = spec.Penalty is SparsityPenalty.Lp;
    }

    /// <summary>Adds the penalties of entries in their order.</summary>
    /// <param name="penalty">The sum without λ.</param>
    /// <param name="next">The sum with the next power of an annealed penalty.</param>
    public void Add(int* entries, int count, ref double penalty, ref double next)
    {
        for (var j = 0; j < count; j++)
        {
            var omega = latents[index[entries[j]]].Omega;
            penalty += math.Penalty(penalized[entries[j]], omega, step.Scalars.Power);
            if (annealed) next += math.Penalty(penalized[entries[j]], omega, step.Scalars.NextPower);
        }
    }
}
