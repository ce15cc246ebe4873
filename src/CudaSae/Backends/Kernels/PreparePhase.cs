using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>prepare: raw input of a slot to X and XCentered (kernels/prepare.cu).</summary>
sealed class PreparePhase(KernelContext context)
{
    public void Run(int slot)
    {
        var buffers = context.Buffers;
        context.Launch("prepare", new(context.Rows, 256), new PrepareParams
        {
            Raw = buffers.Raw[slot].Pointer, Scalars = buffers.Scalars.Pointer, BDec = buffers.BDec.Pointer,
            X = buffers.X.Pointer, XCentered = buffers.XCentered.Pointer,
            Rows = context.Rows, Width = context.Width, Pitch = context.Pitch, Type = (int)context.InputType,
        });
    }
}
