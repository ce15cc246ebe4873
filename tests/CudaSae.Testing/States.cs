using CudaSae.Backends;

namespace CudaSae.Testing;

/// <summary>What a checkpoint would hold of a backend.</summary>
static class States
{
    public static byte[][] Of(IBackend backend) => [.. backend.State.Select(array => Of(backend, array))];

    public static byte[] Of(IBackend backend, StateArray array)
    {
        var bytes = new byte[array.Bytes];
        backend.ReadState(array, 0, bytes);
        return bytes;
    }

    /// <summary>From one backend to another of the same spec, as a resumed run gets it; without
    /// <see cref="IBackend.AfterRestore"/>.</summary>
    public static void Copy(IBackend from, IBackend to)
    {
        foreach (var array in from.State) to.WriteState(array, 0, Of(from, array));
    }
}
