using System.Diagnostics;

namespace CudaSae.Distributed;

/// <summary>A thread that ends the process if one collective or one wait for the device lasts too long: MPI does not
/// report a network that was cut or a rank that has stopped. It counts the time in which this process runs, so a job
/// that is suspended as a whole may continue. Another thread ends the process after an error that a library finds in
/// the background.</summary>
sealed class Watchdog : IDisposable
{
    /// <summary>Exit code of a process that a watchdog ends (EX_TEMPFAIL): the run may be resumed.</summary>
    public const int ExitCode = 75;

    /// <summary>Standard limit of a wait.</summary>
    public static readonly TimeSpan Standard = TimeSpan.FromSeconds(300);

    /// <summary>Least limit before the first step has ended, because ranks start at different speeds, and of an
    /// announced wait, such as one for a rank that writes a file.</summary>
    public static readonly TimeSpan Long = TimeSpan.FromSeconds(1800);

    static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    readonly int rank;
    readonly TimeSpan limit, longLimit;
    readonly Action<string> end;
    readonly ManualResetEventSlim stop = new();
    readonly Thread thread;
    volatile string? call;          // name of the collective in progress; null for none
    long number;                    // of that collective, from 1
    long step;
    volatile int begun;             // steps that have begun in this process
    volatile bool waitsLong;
    volatile string advice = "start the command again";
    readonly List<Func<string?>> faults = [];       // checks; its lock guards it
    Thread? checker;                // of faults
    volatile bool ends;

    /// <param name="rank">Number of this rank.</param>
    /// <param name="limit">Longest time in one collective, above 0.</param>
    /// <param name="end">Takes the message and ends the process (<see cref="EndProcess"/>).</param>
    /// <param name="longLimit">Least limit of long waits; null for <see cref="Long"/>.</param>
    public Watchdog(int rank, TimeSpan limit, Action<string> end, TimeSpan? longLimit = null)
    {
        (this.rank, this.limit, this.end) = (rank, limit, end);
        var least = longLimit ?? Long;
        this.longLimit = limit > least ? limit : least;
        thread = new(Watch) { IsBackground = true, Name = "watchdog of collectives" };
        thread.Start();
    }

    /// <summary>What the message tells the user to do.</summary>
    public string Advice { set => advice = value; }

    /// <summary>Whether waits are announced as long.</summary>
    public bool WaitsLong { set => waitsLong = value; }

    /// <summary>Adds a check for an error in the background. It returns the error, or null for none, and any thread may
    /// call it. It runs on a separate thread: a library may wait for a lock that a stopped rank holds.</summary>
    public void Watch(Func<string?> fault)
    {
        lock (faults)
        {
            faults.Add(fault);
            if (checker is not null) return;
            checker = new(Check) { IsBackground = true, Name = "watchdog of errors" };
            checker.Start();
        }
    }

    /// <summary>Ends the checks: this rank ends with an error of its own.</summary>
    public void AtError() => ends = true;

    void Check()
    {
        while (!ends && !stop.Wait(Pause))
        {
            Func<string?>[] all;
            lock (faults) all = [.. faults];
            var found = all.Select(fault => fault()).FirstOrDefault(error => error is not null);
            if (found is null || ends) continue;
            end(FormattableString.Invariant($"rank {rank}: {found} (step {Volatile.Read(ref step)}); {advice}"));
            return;
        }
    }

    /// <summary>Begins a collective, or a wait for the device.</summary>
    public void Enter(string name)
    {
        Volatile.Write(ref number, number + 1);
        call = name;
    }

    /// <summary>Ends what <see cref="Enter"/> began.</summary>
    public void Leave() => call = null;

    /// <summary>Begins a step.</summary>
    public void AtStep(long number)
    {
        Volatile.Write(ref step, number);
        if (begun < 2) begun++;
    }

    /// <summary>Ends the long waits: the run ends.</summary>
    public void AtAbort() => (begun, waitsLong) = (2, false);

    TimeSpan Pause => limit / 10 < LongestPause ? limit / 10 : LongestPause;

    TimeSpan Limit => begun < 2 || waitsLong ? longLimit : limit;

    void Watch()
    {
        var pause = Pause;
        TimeSpan waited = default, last = default;
        long seen = 0;
        var clock = Stopwatch.StartNew();
        while (!stop.Wait(pause))
        {
            var (now, name, at) = (clock.Elapsed, call, Volatile.Read(ref number));
            var passed = now - last < 2 * pause ? now - last : 2 * pause;       // more if the process was suspended
            waited = name is not null && at == seen ? waited + passed : default;
            (seen, last) = (at, now);
            if (waited < Limit) continue;
            end(FormattableString.Invariant($"rank {rank} has waited {waited.TotalSeconds:0} s in {name} {at} (")
                + FormattableString.Invariant($"step {Volatile.Read(ref step)}) for the other ranks; ")
                + $"a rank or the network has stopped; {advice}");
            return;
        }
    }

    /// <summary>Prints a line on the error stream and ends the process at once.</summary>
    public static void EndProcess(string line)
    {
        NativeProcess.PrintError(line);
        NativeProcess.Exit(ExitCode);
    }

    public void Dispose()
    {
        ends = true;
        stop.Set();
        if (Thread.CurrentThread != thread) thread.Join();
        var ended = checker is null || Thread.CurrentThread != checker && checker.Join(LongestPause);
        if (ended) stop.Dispose();
    }
}
