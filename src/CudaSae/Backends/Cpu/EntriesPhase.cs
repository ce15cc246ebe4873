using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>entries: back-propagates ∂L/∂value of each entry to all its gradients: bias, norm, threshold and
/// gate.</summary>
sealed unsafe class EntriesPhase : CpuPart
{
    readonly LatentMath math;
    readonly LatentScalars* latents;
    readonly int* index, rowCount;
    readonly float* value, preAct, valueGrad;
    readonly EntryGradient* entryGrad;
    readonly bool gated, paired;
    readonly Action<int, int> entryPart;

    public EntriesPhase(CpuContext context) : base(context)
    {
        var buffers = context.Buffers;
        math = context.Math;
        latents = buffers.Latents;
        gated = context.Gated;
        paired = context.Paired;
        index = buffers.Index;
        rowCount = buffers.RowCount;
        value = buffers.Value;
        preAct = buffers.PreAct;
        valueGrad = buffers.ValueGrad;
        entryGrad = buffers.EntryGrad;
        entryPart = EntriesOfBlock;
    }

    public void Run() => workers.Run(rowBlocks, entryPart);

    void EntriesOfBlock(int block, int worker)
    {
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
            for (var entry = b * k; entry < b * k + rowCount[b]; entry++)
            {
                var gradient = value[entry] != 0 || paired
                    ? math.Gradient(preAct[entry], value[entry], valueGrad[entry], gated ? entryGrad[entry].Bias : 0,
                        latents[index[entry]], step.Scalars, step.CountSlope)
                    : default;
                entryGrad[entry] = gradient;
                valueGrad[entry] = gradient.Input;
            }
    }
}
