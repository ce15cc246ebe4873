using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>Computes penalties, and back-propagates ∂L/∂value to each latent's bias, norm, threshold and gate
/// parameters (kernels/entries.cu). Only thresholded selections and specs with a penalty have this phase.</summary>
sealed class EntriesPhase
{
    const int Block = 256, RowBlock = 128;

    readonly KernelContext context;
    readonly DeviceArray<EntryGradient> gradient;

    public EntriesPhase(KernelContext context)
    {
        this.context = context;
        gradient = context.Arena.Take<EntryGradient>("code gradients", (long)context.Rows * context.Active);
        RowPenalty = context.Arena.Take<double>("penalty by row", context.Padded(2L * context.Rows));
        StepPenalty = context.Arena.Take<float>("step penalty", 1);
        PreActLoss = context.Arena.Take<double>("pre-activation loss",
            context.Spec.PreAct is null ? 0 : context.Latents);
    }

    public DeviceArray<double> RowPenalty { get; }      // [B, 2]
    public DeviceArray<float> StepPenalty { get; }      // [1]
    public DeviceArray<double> PreActLoss { get; }      // [n]

    /// <summary>Runs after decode on the sparse path.</summary>
    public void Run(DeviceArray<int> rowActive)
    {
        var parameters = Parameters();
        context.Launch("entry_penalty", new(context.Rows, RowBlock, SharedMemory.BlockSum), parameters);
        context.Ranks?.Add(RowPenalty);
        SetStepPenalty(rowActive);
        context.Launch("entry_gradients", new(context.Blocks((long)context.Rows * context.Active, Block), Block),
            parameters);
    }

    public void SetStepPenalty(DeviceArray<int> rowActive) => context.Launch("step_penalty", new(1, Block,
        SharedMemory.BlockSum), new StepPenaltyParams
        {
            Loss = context.Loss, Scalars = context.Buffers.Scalars.Pointer, RowActive = rowActive.Pointer,
            StepPenalty = StepPenalty.Pointer, Rows = context.Rows,
        });

    /// <summary>Sums the gradients of the entries by latent.</summary>
    public void SumLatents(BackwardPhase backward) =>
        SumLatents(0, context.Latents, backward.Start.Pointer, backward.Entry.Pointer, 0, 0);

    /// <summary>Finishes the sums of latents [first, first + count) of the dense path.</summary>
    /// <param name="above">[W] number of rows above θ.</param>
    /// <param name="aboveGap">[W] gaps of those rows.</param>
    public void SumChunk(int first, int count, DeviceArray<int> above, DeviceArray<float> aboveGap) =>
        SumLatents(first, count, 0, 0, above.Pointer, aboveGap.Pointer);

    unsafe void SumLatents(int first, int count, ulong start, ulong entry, ulong above, ulong aboveGap)
    {
        var (buffers, f) = (context.Buffers, (ulong)first);
        context.Launch("latent_sums", new(context.Blocks(count, Block / 32), Block), new LatentSumsParams
        {
            Loss = context.Loss, Scalars = buffers.Scalars.Pointer, Latents = buffers.Latents.Pointer
                + f * (ulong)sizeof(LatentScalars), Start = start, Entry = entry,
            Gradient = gradient.Pointer, PreAct = buffers.PreAct.Pointer, InputSum = buffers.InputSum.Pointer,
            WEnc = buffers.WEncHi.Pointer
                + f * (ulong)context.Ld * 2,
            BEnc = buffers.BEnc.Pointer + f * 4, Above = above, AboveGap = aboveGap, Sums = buffers.LatentGrads.Pointer
                + f * (ulong)sizeof(EntryGradient),
            PreActLoss = PreActLoss.Length == 0 ? 0
                : PreActLoss.Pointer + f * 8, Count = count, Rows = context.Rows, Ld = context.Ld,
        });
    }

    EntriesParams Parameters()
    {
        var buffers = context.Buffers;
        return new()
        {
            Loss = context.Loss, Scalars = buffers.Scalars.Pointer, Latents = buffers.Latents.Pointer,
            Index = buffers.Index.Pointer, RowCount = buffers.RowCount.Pointer,
            Value = buffers.Value.Pointer, PreAct = buffers.PreAct.Pointer, GateGrad = buffers.GateGrad.Pointer,
            StepPenalty = StepPenalty.Pointer, ValueGrad = buffers.ValueGrad.Pointer,
            Gradient = gradient.Pointer, RowPenalty = RowPenalty.Pointer, Rows = context.Rows, Active = context.Active,
        };
    }
}
