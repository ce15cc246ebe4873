using CudaSae.Devices;

namespace CudaSae.Cli;

/// <summary>Times the work launched on a stream between two events of the device. It replays one recorded graph at a
/// time and overwrites the second-level cache before each. On the emulator, which has no time, all work runs once and
/// no times are returned.</summary>
sealed class DeviceClock : IDisposable
{
    readonly IDevice device;
    readonly Owned owned;
    readonly nint stream, start, end;
    readonly ulong flush;
    readonly long flushWords;
    uint pattern;

    public DeviceClock(IDevice device, nint stream)
    {
        (this.device, this.stream) = (device, stream);
        flushWords = Math.Max(1 << 10, 2L * device.Info.L2Bytes / sizeof(uint));
        if (device.Info.Emulated) flushWords = 1 << 10;
        owned = new(device);
        try
        {
            flush = owned.Memory(flushWords * sizeof(uint));
            (start, end) = (owned.Event(timing: true), owned.Event(timing: true));
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }

    /// <summary>Whether the device measures time.</summary>
    public bool Runs => !device.Info.Emulated;

    /// <summary>Records the work of <paramref name="launch"/> as a graph and replays it. The work runs once before, so
    /// that it loads and allocates what it needs.</summary>
    /// <param name="capture">False launches the work each time, for work that cannot be recorded.</param>
    /// <returns>Milliseconds of each replay; none on the emulator.</returns>
    public IReadOnlyList<double> Time(Action launch, int repeats, bool capture = true)
    {
        launch();
        device.Synchronize(stream);
        nint graph = 0;
        if (capture)
        {
            device.BeginCapture(stream);
            launch();
            graph = device.EndCapture(stream);
            launch = () => device.LaunchGraph(graph, stream);
        }
        try
        {
            var times = new List<double>();
            for (var repeat = 0; repeat < (Runs ? repeats : 1); repeat++)
                if (TimeOnce(launch) is { } ms) times.Add(ms);
            return times;
        }
        finally
        {
            if (graph != 0) Owned.Try(() => device.DestroyGraph(graph));
        }
    }

    double? TimeOnce(Action launch)
    {
        device.Fill32(flush, ++pattern, flushWords, stream);
        device.Record(start, stream);
        launch();
        device.Record(end, stream);
        device.WaitOnHost(end);
        return Runs ? device.ElapsedMs(start, end) : null;
    }

    /// <summary>Runs launches one after another as a training run does, with caches unchanged and the host ahead of the
    /// device. Measures the milliseconds between the ends of successive launches.</summary>
    /// <returns>The times; none on the emulator, which runs two launches.</returns>
    public IReadOnlyList<double> TimeChain(Action<int> launch, int count)
    {
        if (!Runs) count = 2;
        using var temporary = new Owned(device);
        var ends = Enumerable.Range(0, count + 1).Select(_ => temporary.Event(timing: true)).ToArray();
        device.Record(ends[0], stream);
        for (var i = 0; i < count; i++)
        {
            launch(i);
            device.Record(ends[i + 1], stream);
        }
        device.WaitOnHost(ends[^1]);
        return Runs ? [.. Enumerable.Range(0, count).Select(i => (double)device.ElapsedMs(ends[i], ends[i + 1]))] : [];
    }

    /// <summary>Releases all resources, also on a lost device. It throws nothing, so that the first error is
    /// reported.</summary>
    public void Dispose() => owned.Dispose();
}
