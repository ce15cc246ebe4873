using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>prepare: raw input of a slot to X and XCentered (kernels/prepare.cu).</summary>
sealed class PreparePhase(KernelContext context)
{
    public void Run(int slot)
    {
        var buffers = context.Buffers;
        var spec = context.Spec;
        context.Launch("prepare", new(context.Rows, 256), new PrepareParams
        {
            Raw = buffers.Raw[slot].Pointer, Scalars = buffers.Scalars.Pointer, BDec = spec.PreEncoderBias ? buffers.BDec.Pointer : 0,
            X = buffers.X.Pointer, XCentered = buffers.XCentered.Pointer, Y = spec.Transcoder is null ? 0 : buffers.Y.Pointer,
            Rows = context.Rows, Width = context.Width, Pitch = context.Pitch, OutWidth = spec.Transcoder?.OutputWidth ?? 0, OutPitch = context.OutPitch,
            Type = (int)context.InputType,
        });
    }
}
