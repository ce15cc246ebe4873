using System.Diagnostics;
using CudaSae.Numerics;

namespace CudaSae.Tests;

public class WorkersTests
{
    /// <summary>If there are more threads than cores, some arrive after their phase has ended.</summary>
    public static TheoryData<int> Threads => [1, 2, Environment.ProcessorCount + 3];

    [Theory]
    [MemberData(nameof(Threads))]
    public void EveryPartOfEveryPhaseRunsOnce(int threads)
    {
        using var workers = new Workers(threads);
        var (runs, busy) = (new int[64], new int[threads]);
        Action<int, int> one = (part, worker) => Count(1, part, worker),
            many = (part, worker) => Count(1000, part, worker);
        for (var phase = 0; phase < 5000; phase++)
        {
            var parts = phase % (runs.Length + 1);
            workers.Run(parts, phase % 2 == 0 ? one : many);
            // A part that runs after the end of its phase is missing here, or is a second one of a later phase.
            for (var part = 0; part < runs.Length; part++)
            {
                Assert.Equal(part >= parts ? 0 : phase % 2 == 0 ? 1 : 1000, runs[part]);
                runs[part] = 0;
            }
        }

        void Count(int by, int part, int worker)
        {
            Assert.Equal(0, Interlocked.Exchange(ref busy[worker], 1));     // no other thread has this number
            Interlocked.Add(ref runs[part], by);
            Volatile.Write(ref busy[worker], 0);
        }
    }

    /// <summary>Each part waits for the other ones, so that a thread that misses a phase ends the test. The pauses end
    /// before, while and after threads stop spinning and sleep.</summary>
    [Fact]
    public void ThreadsThatSleepOrFallAsleepWakeForAPhase()
    {
        using var workers = new Workers(3);
        for (var phase = 0; phase < 300; phase++)
        {
            var pause = Stopwatch.StartNew();
            while (pause.Elapsed.TotalMicroseconds < phase % 30 * 100) Thread.SpinWait(10);
            using var all = new Barrier(3);
            workers.Run(3, (_, _) =>
                Assert.True(all.SignalAndWait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken)));
        }
    }

    [Fact]
    public void AFailedPartEndsThePhaseAndTheNextOneRuns()
    {
        using var workers = new Workers(4);
        for (var phase = 0; phase < 100; phase++)
        {
            var failed = Assert.Throws<InvalidOperationException>(() => workers.Run(50, static (part, _) =>
            {
                if (part == 7) throw new InvalidOperationException("part 7");
            }));
            Assert.Equal("part 7", failed.Message);
            var sum = 0;
            workers.Run(50, (part, _) => Interlocked.Add(ref sum, part));
            Assert.Equal(49 * 50 / 2, sum);
        }
    }

    /// <summary>The caller has done its part while another thread is still in one.</summary>
    [Fact]
    public async Task APhaseWaitsForAClaimedPart()
    {
        using var workers = new Workers(2);
        using var release = new ManualResetEventSlim();
        using var inside = new ManualResetEventSlim();
        var run = Task.Run(() => workers.Run(2, (_, worker) =>
        {
            if (worker == 0)
            {
                inside.Wait();
                return;
            }
            inside.Set();
            release.Wait();
        }), TestContext.Current.CancellationToken);
        inside.Wait(TestContext.Current.CancellationToken);
        await Task.Delay(20, TestContext.Current.CancellationToken);
        Assert.False(run.IsCompleted);
        release.Set();
        await run;
    }

    [Theory(Timeout = 60_000)]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(10)]
    public async Task DisposeEndsThreadsThatSpinOrSleep(int milliseconds)
    {
        for (var i = 0; i < 20; i++)
        {
            var workers = new Workers(4);
            workers.Run(4, static (_, _) => { });
            await Task.Delay(milliseconds, TestContext.Current.CancellationToken);
            await Task.Run(workers.Dispose, TestContext.Current.CancellationToken);
        }
    }
}
