namespace CudaSae.Testing;

/// <summary>Counts what the process allocates.</summary>
static class Allocations
{
    const int Rounds = 5;

    /// <summary>Returns the bytes that the process allocates while the action runs. It is the minimum of five rounds,
    /// because other threads of the test program allocate too, for example to write a log.</summary>
    public static long LeastOf(Action action)
    {
        var least = long.MaxValue;
        for (var round = 0; round < Rounds; round++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            action();
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }
        return least;
    }
}
