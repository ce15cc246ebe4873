using System.Numerics;
using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The kernels' index of the code by latent, compared with sorting: runs, their parts, and the latents in the
/// order of their visits.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class IndexTests
{
    const int Active = 6, Idle = 8;

    /// <summary>Makes a code whose entries come from three latents, thirty latents, and the upper half of all latents,
    /// in equal parts.</summary>
    static (int[] Index, float[] Value) Code(int rows, int latents)
    {
        var random = new Random(3);
        var (index, value) = (new int[rows * Active], new float[rows * Active]);
        for (var b = 0; b < rows; b++)
        {
            var row = new SortedSet<int>();
            while (row.Count < Active)
                row.Add(random.Next(3) switch
                {
                    0 => random.Next(3),
                    1 => 100 + random.Next(30),
                    _ => latents - 1 - random.Next(latents / 2)
                });
            row.CopyTo(index, b * Active);
            for (var j = 0; j < Active; j++) value[b * Active + j] = random.Next(5) == 0 ? 0 : 1;
        }
        return (index, value);
    }

    [Theory]
    [InlineData(40, 300, 1)]        // one tile
    [InlineData(700, 5000, 2)]      // three tiles, runs of more than 256 entries
    [InlineData(700, 5000, 9)]
    public void RunsAreSortedAndLongestFirst(int rows, int latents, int seed)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        Targets.Emulator.SetSeed((ulong)seed);
        using var device = Targets.OpenEmulator();
        var counting = new DeviceArena();
        Phase(null, counting);
        using var arena = new DeviceArena(device, counting.Plan);
        device.Fill32(arena.Start, 0, arena.Capacity / 4, 0);
        var (phase, context) = Phase(device, arena);
        var (index, value) = Code(rows, latents);
        Upload(device, context.Buffers.Index, index);
        Upload(device, context.Buffers.Value, value);
        phase.Run();
        phase.Run();        // values that one run leaves must not affect the next

        var runs = Enumerable.Range(0, index.Length).Where(e => value[e] != 0).ToLookup(e => index[e]);
        var entries = Enumerable.Range(0, latents).SelectMany(f => runs[f]).Select(e => (uint)e).ToArray();
        Assert.Equal(entries, Download(device, phase.Entry)[..entries.Length]);
        ulong start = 0;
        var starts = Download(device, phase.Start);
        for (var f = 0; f <= latents; f++)
        {
            Assert.Equal((f, start), (f, starts[f]));
            var length = (ulong)runs[f].Count();
            start += length + ((length > 256 ? (length + 255) / 256 : 0) << 32);
        }
        var order = Enumerable.Range(0, latents).OrderBy(Class).ThenBy(f => f).ToArray();
        Assert.Equal(order, Download(device, phase.Order));
        Assert.Equal(Enumerable.Range(0, Idle + 1).Select(c => (uint)order.Count(f => Class(f) < c)),
            Download(device, phase.ClassStart));
        Assert.True(order.Count(f => Class(f) == Idle) > latents / 4, "some latents have no gradient");

        int Class(int f) =>
            runs[f].Count() is var length && length == 0 ? Idle
                : Math.Max(0, Idle - 1 - BitOperations.Log2((uint)length));

        (BackwardPhase, KernelContext) Phase(IDevice? on, DeviceArena from)
        {
            var made = new KernelContext(on, 0, from,
                new SaeSpec { InputWidth = 8, Latents = latents, Selection = new Selection.TopK(Active) },
                new TrainConfig { BatchRows = rows }, InputType.Float32);
            return (new(made), made);
        }
    }

    static unsafe void Upload<T>(IDevice device, DeviceArray<T> to, T[] from) where T : unmanaged
    {
        device.Upload<T>(to.Pointer, from, 0);
    }

    static unsafe T[] Download<T>(IDevice device, DeviceArray<T> from) where T : unmanaged
    {
        var to = new T[from.Length];
        device.Download<T>(to, from.Pointer, 0);
        return to;
    }
}
