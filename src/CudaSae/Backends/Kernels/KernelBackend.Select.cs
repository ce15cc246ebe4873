namespace CudaSae.Backends.Kernels;

public sealed unsafe partial class KernelBackend
{
    /// <summary>[B, k] the first nested reconstruction that holds each entry of the last step's code; waits for it.</summary>
    internal byte[] ReadLevels()
    {
        var levels = new byte[Buffers.Level.Length];
        fixed (byte* p = levels) device.CopyToHost(p, Buffers.Level.Pointer, Buffers.Level.Bytes, stream);
        device.Synchronize(stream);
        return levels;
    }
}
