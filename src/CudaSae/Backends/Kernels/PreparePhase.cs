using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>The phase prepare: it converts raw rows to X and XCentered (kernels/prepare.cu). The step's scalars select
/// the input.</summary>
sealed unsafe class PreparePhase(KernelContext context)
{
    /// <summary>Runs the phase.</summary>
    /// <param name="pool">The pool from which batches may also come; null if there is none.</param>
    public void Run(RowPool? pool)
    {
        var buffers = context.Buffers;
        var spec = context.Spec;
        var parameters = new PrepareParams
        {
            Pool = pool?.Rows ?? 0, Lists = pool?.Lists
                ?? 0, Scalars = buffers.Scalars.Pointer, BDec = spec.PreEncoderBias
                ? buffers.BDec.Pointer : 0,
            X = buffers.X.Pointer, XCentered = buffers.XCentered.Pointer, Y = spec.Transcoder is null ? 0
                : buffers.Y.Pointer,
            Rows = context.Rows, Width = context.Width, Ld = context.Ld, OutWidth = spec.Transcoder?.OutputWidth
                ?? 0, Lo = context.Lo,
            Type = context.InputType,
        };
        for (var slot = 0; slot < 2; slot++) parameters.Batch[slot] = buffers.Raw[slot].Pointer;
        context.Launch("prepare", new(context.Rows, 256), parameters);
    }
}
