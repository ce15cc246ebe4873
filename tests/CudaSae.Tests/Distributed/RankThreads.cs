using System.Runtime.ExceptionServices;
using CudaSae.Distributed;

namespace CudaSae.Tests;

/// <summary>Runs the ranks of a run as threads of the test. The first exception ends all ranks, and the test throws
/// it.</summary>
static class RankThreads
{
    static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    /// <summary>Runs the work once for each rank.</summary>
    public static void Run(int ranks, Action<ICollective> work) =>
        Run<object?>(ranks, collective =>
        {
            work(collective);
            return null;
        });

    /// <summary>Runs the work once for each rank, and returns the results in the order of the ranks.</summary>
    /// <exception cref="TimeoutException">The ranks wait for each other.</exception>
    /// <param name="machineSize">Ranks that act as those of one machine; 0 for all.</param>
    public static T[] Run<T>(int ranks, Func<ICollective, T> work, int machineSize = 0)
    {
        var members = ThreadCollective.Group(ranks, machineSize);
        var results = new T[ranks];
        Exception? first = null;
        var threads = members.Select(member => new Thread(() =>
        {
            try { results[member.Rank] = work(member); }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref first, e, null);
                member.Abort(1);
            }
        })
        { IsBackground = true, Name = $"rank {member.Rank}" }).ToArray();
        foreach (var thread in threads) thread.Start();
        var end = DateTime.UtcNow + Limit;
        foreach (var thread in threads)
            while (!thread.Join(TimeSpan.FromSeconds(1)))
                if (DateTime.UtcNow > end)
                {
                    members[0].Abort(1);
                    throw first ?? new TimeoutException($"{thread.Name} of {ranks} has not ended after {Limit}");
                }
        foreach (var member in members) member.Dispose();
        if (first is not null) ExceptionDispatchInfo.Throw(first);
        return results;
    }
}
