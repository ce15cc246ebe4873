using System.Collections.Concurrent;
using CudaSae.Distributed;

namespace CudaSae.Tests;

/// <summary>A rank that waits too long for the others ends, and a wait that is allowed does not end it.
/// tests/cluster/wire.sh and tests/cluster/ranks.sh end processes.</summary>
public class WatchdogTests
{
    static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200), Never = TimeSpan.FromMinutes(10);

    /// <summary>Runs two ranks, of which rank 1 pauses before its last barrier, and returns the messages of their
    /// watchdogs.</summary>
    static string[] Messages(int pause, Action<ICollective> before, TimeSpan longLimit, string? advice = null)
    {
        var messages = new ConcurrentQueue<string>();
        RankThreads.Run(2, thread =>
        {
            var watchdog = new Watchdog(thread.Rank, Short, messages.Enqueue, longLimit);
            if (advice is not null) watchdog.Advice = advice;
            var ranks = new WatchedCollective(thread, watchdog);
            before(ranks);
            if (ranks.Rank == 1) Thread.Sleep(pause);
            ranks.Barrier();
            watchdog.Dispose();
        });
        return [.. messages];
    }

    static void Steps(ICollective ranks)
    {
        for (var step = 7; step < 9; step++)
        {
            ranks.AtStep(step);
            ranks.Sum(1);
        }
    }

    [Fact]
    public void ARankThatStopsIsNamedWithTheCallAndTheStep()
    {
        var message = Assert.Single(Messages(2000, Steps, Never, "resume it"));
        Assert.Matches("^rank 0 has waited [0-9]+ s in barrier 3 \\(step 8\\) for the other ranks; a rank or the "
            + "network has stopped; resume it$", message);
    }

    [Fact]
    public void TheFirstStepHasALongerLimit()
    {
        Assert.Empty(Messages(1000, ranks => ranks.AtStep(1), Never));
        Assert.Contains("start the command again",
            Assert.Single(Messages(1500, ranks => ranks.AtStep(1), 2 * Short)), StringComparison.Ordinal);
    }

    [Fact]
    public void AnAnnouncedWaitHasALongerLimit()
    {
        void Files(ICollective ranks, int level)
        {
            Steps(ranks);
            if (ranks.Rank == 1) Thread.Sleep(1000);        // writes a file
            Assert.Equal(level, RankAgreement.Worst(ranks, level).Level);
        }
        Assert.Empty(Messages(0, ranks => Files(ranks, 1), Never));
        Assert.Single(Messages(1500, ranks => Files(ranks, 0), Never));     // the wait after it is not announced
    }

    [Fact]
    public void AWaitForTheDeviceIsNamed()
    {
        var messages = new ConcurrentQueue<string>();
        using var ranks = new WatchedCollective(new SingleCollective(), new(0, Short, messages.Enqueue, Never));
        Steps(ranks);
        ranks.Waiting("device work");
        Assert.True(SpinWait.SpinUntil(() => !messages.IsEmpty, TimeSpan.FromSeconds(10)));
        Assert.Matches("^rank 0 has waited [0-9]+ s in device work 3 \\(step 8\\) for the other ranks",
            messages.Single());
    }

    [Fact]
    public void AWaitThatEndsAndAWaitOfTheFeedersThreadDoNotCount()
    {
        var messages = new ConcurrentQueue<string>();
        using var ranks = new WatchedCollective(new SingleCollective(), new(0, Short, messages.Enqueue, Never));
        Steps(ranks);
        ranks.Waiting("device work");
        ranks.Waiting(null);
        var feeder = new Thread(() => ranks.Waiting("device work"));
        feeder.Start();
        feeder.Join();
        Thread.Sleep(4 * Short);
        Assert.Empty(messages);
    }

    [Fact]
    public void AnErrorInTheBackgroundEndsTheRankAtOnce()
    {
        var messages = new ConcurrentQueue<string>();
        string? error = null;
        using var watchdog = new Watchdog(3, TimeSpan.FromSeconds(5), messages.Enqueue) { Advice = "resume it" };
        var ranks = new WatchedCollective(new SingleCollective(), watchdog);
        ranks.Watch(() => Volatile.Read(ref error));
        Steps(ranks);
        Thread.Sleep(1200);
        Assert.Empty(messages);
        Volatile.Write(ref error, "NCCL error 6");
        Assert.True(SpinWait.SpinUntil(() => !messages.IsEmpty, TimeSpan.FromSeconds(10)));
        Assert.Equal("rank 3: NCCL error 6 (step 8); resume it", messages.Single());
    }

    [Fact]
    public void ManyShortCallsAreNotAWait() => Assert.Empty(Messages(0, ranks =>
    {
        Steps(ranks);
        for (var end = DateTime.UtcNow.AddMilliseconds(800); ranks.Max(DateTime.UtcNow < end ? 1 : 0) > 0;) { }
    }, Never));

    [Fact]
    public void ACallAllocatesNothing()
    {
        using var ranks = new WatchedCollective(new SingleCollective(), new(0, Short, _ => { }));
        var numbers = new long[1];
        Assert.Equal(0, Allocations.LeastOf(() =>
        {
            for (var i = 0; i < 1000; i++)
            {
                ranks.AtStep(i);
                ranks.Sum(numbers);
                ranks.Barrier();
            }
        }));
    }
}
