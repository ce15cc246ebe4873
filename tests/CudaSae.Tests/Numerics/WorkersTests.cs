using CudaSae.Numerics;

namespace CudaSae.Tests;

public class WorkersTests
{
    /// <summary>With more threads than cores, some threads arrive after their phase has ended.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(9)]
    public void EveryPartOfEveryPhaseRunsOnce(int threads)
    {
        using var workers = new Workers(threads);
        var runs = new int[64];
        Action<int, int> count = (part, worker) =>
        {
            Assert.InRange(worker, 0, threads - 1);
            Interlocked.Increment(ref runs[part]);
        };
        for (var phase = 0; phase < 5000; phase++)
        {
            var parts = phase % (runs.Length + 1);
            workers.Run(parts, count);
            // A part that runs after Run returned would be missing here, or be a second one of a later phase.
            for (var part = 0; part < runs.Length; part++)
            {
                Assert.Equal(part < parts ? 1 : 0, runs[part]);
                runs[part] = 0;
            }
        }
    }

    [Fact]
    public void SleepingThreadsWakeForAPhase()
    {
        using var workers = new Workers(3);
        for (var phase = 0; phase < 20; phase++)
        {
            Thread.Sleep(5);        // much longer than a thread spins
            var here = new HashSet<int>();
            using var all = new Barrier(3);
            workers.Run(3, (_, worker) =>
            {
                lock (here) here.Add(worker);
                Assert.True(all.SignalAndWait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
            });
            Assert.Equal(3, here.Count);
        }
    }

    [Fact]
    public void AFailedPartEndsThePhaseAndTheNextOneRuns()
    {
        using var workers = new Workers(4);
        for (var phase = 0; phase < 100; phase++)
        {
            var failed = Assert.Throws<AggregateException>(() => workers.Run(50, static (part, _) =>
            {
                if (part == 7) throw new InvalidOperationException("part 7");
            }));
            Assert.Equal("part 7", failed.InnerException!.Message);
            var sum = 0;
            workers.Run(50, (part, _) => Interlocked.Add(ref sum, part));
            Assert.Equal(49 * 50 / 2, sum);
        }
    }

    [Fact]
    public async Task AClaimedPartHoldsItsPhaseOpen()
    {
        using var workers = new Workers(2);
        using var release = new ManualResetEventSlim();
        using var inside = new ManualResetEventSlim();
        var run = Task.Run(() => workers.Run(2, (_, _) =>
        {
            inside.Set();
            release.Wait();
        }), TestContext.Current.CancellationToken);
        inside.Wait(TestContext.Current.CancellationToken);
        await Task.Delay(20, TestContext.Current.CancellationToken);
        Assert.False(run.IsCompleted);
        release.Set();
        await run;
    }
}
