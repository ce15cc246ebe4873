using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>Captures of two streams: a stream that waits for an event of a captured stream belongs to the
/// graph.</summary>
[Collection("emulator")]
public unsafe class CaptureTests
{
    const int Length = 64;

    static IDevice Open(ulong seed = 0)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        Targets.Emulator.SetSeed(seed);
        return Targets.OpenEmulator("own imports");
    }

    /// <summary>A graph fills an array on one stream, copies it on a second one beside other work of the first, and
    /// copies the copy after the join. Each launch sees the values before it.</summary>
    [Theory, InlineData(0), InlineData(3), InlineData(4), InlineData(9), InlineData(31)]
    public void AForkAndAJoinAreReplayed(int seed)
    {
        using var device = Open((ulong)seed);
        nint main = device.CreateStream(), side = device.CreateStream(), forked = device.CreateEvent(),
            joined = device.CreateEvent();
        ulong input = device.Allocate(4 * Length), copy = device.Allocate(4 * Length),
            last = device.Allocate(4 * Length);
        var host = (uint*)device.AllocatePinned(4 * Length);
        device.BeginCapture(main);
        for (var turn = 0; turn < 2; turn++)        // the same events twice
        {
            device.Record(forked, main);
            device.Wait(side, forked);
            device.CopyOnDevice(copy, input, 4 * Length, side);
            device.Record(joined, side);
            device.Fill32(last, 7, Length, main);
            device.Wait(main, joined);
            device.CopyOnDevice(last, copy, 4 * Length, main);
            if (turn == 0) device.Fill32(input, 5, Length / 2, main);
        }
        device.CopyToHost(host, last, 4 * Length, main);
        var graph = device.EndCapture(main);
        for (uint launch = 1; launch < 4; launch++)
        {
            device.Fill32(input, 100 * launch, Length, main);
            device.LaunchGraph(graph, main);
            device.Fill32(input, 9, Length, main);          // after the graph, both of its streams included
            device.Synchronize(main);
            for (var i = 0; i < Length; i++) Assert.Equal(i < Length / 2 ? 5 : 100 * launch, host[i]);
        }
        device.Record(forked, main);                        // outside a capture again
        device.Wait(side, forked);
        device.Synchronize(side);
        device.DestroyGraph(graph);
        foreach (var pointer in (ulong[])[input, copy, last]) device.Free(pointer);
        device.FreePinned(host);
        foreach (var handle in (nint[])[forked, joined]) device.DestroyEvent(handle);
        foreach (var stream in (nint[])[main, side]) device.DestroyStream(stream);
    }

    [Fact]
    public void BrokenCapturesAreReported()
    {
        using var device = Open();
        nint main = device.CreateStream(), side = device.CreateStream(), forked = device.CreateEvent(),
            other = device.CreateEvent();
        var memory = device.Allocate(4 * Length);

        void Fork()
        {
            device.BeginCapture(main);
            device.Record(forked, main);
            device.Wait(side, forked);
            device.Fill32(memory, 1, Length, side);
        }
        Fork();
        Assert.Contains("904 (CUDA_ERROR_STREAM_CAPTURE_UNJOINED", Fails(() => device.EndCapture(main)));
        Assert.Contains("907 (CUDA_ERROR_CAPTURED_EVENT", Fails(() => device.Wait(side, forked)));
        Assert.Contains("907 (CUDA_ERROR_CAPTURED_EVENT", Fails(() => device.WaitOnHost(forked)));
        Fork();
        Assert.Contains("903 (CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", Fails(() => device.EndCapture(side)));
        device.Record(forked, side);
        device.Wait(main, forked);
        device.DestroyGraph(device.EndCapture(main));
        device.Record(other, side);
        device.BeginCapture(main);
        Assert.Contains("905 (CUDA_ERROR_STREAM_CAPTURE_ISOLATION", Fails(() => device.Wait(main, other)));
        Assert.Contains("901 (CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", Fails(() => device.EndCapture(main)));
        device.Synchronize(side);
        device.Free(memory);
        foreach (var handle in (nint[])[forked, other]) device.DestroyEvent(handle);
        foreach (var stream in (nint[])[main, side]) device.DestroyStream(stream);
    }

    static string Fails(Action call) => Assert.Throws<CudaException>(call).Message;
}
