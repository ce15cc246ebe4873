using System.Runtime.InteropServices;
using CudaSae.Backends;
using Xunit;

namespace CudaSae.Testing;

/// <summary>Reads and copies the state of a backend that a checkpoint holds.</summary>
static class States
{
    public static byte[][] Of(IBackend backend) => [.. backend.State.Select(array => Of(backend, array))];

    public static byte[] Of(IBackend backend, StateArray array)
    {
        var bytes = new byte[array.Bytes];
        backend.ReadState(array, 0, bytes);
        return bytes;
    }

    /// <summary>Returns all arrays, one after another.</summary>
    public static byte[] Bytes(IBackend backend) => [.. backend.State.SelectMany(array => Of(backend, array))];

    /// <summary>Returns the numbers of the array with that name.</summary>
    public static T[] Numbers<T>(IBackend backend, string name) where T : unmanaged =>
        MemoryMarshal.Cast<byte, T>(Of(backend, backend.State.Single(array => array.Name == name))).ToArray();

    /// <summary>Copies the state from one backend to another of the same spec, as a resume does, without
    /// <see cref="IBackend.AfterRestore"/>.</summary>
    public static void Copy(IBackend from, IBackend to)
    {
        foreach (var array in from.State) to.WriteState(array, 0, Of(from, array));
    }

    public static void AssertSame(byte[][] expected, byte[][] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.True(expected[i].AsSpan().SequenceEqual(actual[i]), $"state array {i} differs");
    }
}
