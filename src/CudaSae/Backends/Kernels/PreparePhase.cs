using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>prepare: raw rows to X and XCentered (kernels/prepare.cu).</summary>
sealed class PreparePhase(KernelContext context)
{
    /// <param name="raw">Device pointer of the rows in the input's own type: the batch's alone, or a pool.</param>
    /// <param name="list">Device pointer of the batch's places in the pool, int32 [B]; 0 without one.</param>
    public void Run(ulong raw, ulong list)
    {
        var buffers = context.Buffers;
        var spec = context.Spec;
        context.Launch("prepare", new(context.Rows, 256), new PrepareParams
        {
            Raw = raw, List = list, Scalars = buffers.Scalars.Pointer, BDec = spec.PreEncoderBias ? buffers.BDec.Pointer : 0,
            X = buffers.X.Pointer, XCentered = buffers.XCentered.Pointer, Y = spec.Transcoder is null ? 0 : buffers.Y.Pointer,
            Rows = context.Rows, Width = context.Width, Pitch = context.Pitch, OutWidth = spec.Transcoder?.OutputWidth ?? 0, OutPitch = context.OutPitch,
            Type = (int)context.InputType,
        });
    }
}
