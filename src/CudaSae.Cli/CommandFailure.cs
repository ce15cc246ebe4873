using System.Reflection;
using CudaSae.Devices;
using CudaSae.Distributed;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>Reports the exception that ended a command in one line on the error stream.</summary>
static class CommandFailure
{
    const string TraceVariable = "CUDASAE_TRACE";

    /// <summary>The time that other ranks wait before they report an error. Rank 0 reports an error of all ranks and
    /// ends them while they wait.</summary>
    public static readonly TimeSpan FirstIsRoot = TimeSpan.FromSeconds(2);

    /// <summary>The time between the report of a rank and the end of all ranks. MPICH's launcher can lose a report that
    /// it has not read when a rank aborts.</summary>
    static readonly TimeSpan ReadByLauncher = TimeSpan.FromMilliseconds(100);

    static readonly TimeSpan Apart = 2 * ReadByLauncher;    // between the reports of two other ranks
    const int MostApart = 20;

    /// <summary>Prints the error and returns the exit code. The caller may end all ranks then.</summary>
    /// <param name="program">Name of the program in messages.</param>
    /// <param name="rank">The rank of this process; null for one process.</param>
    /// <param name="reported">Returns whether another rank has ended while this one waited, and has reported the
    /// error; null if ranks end together.</param>
    public static int Report(Exception e, string program, int? rank, Func<bool>? reported = null)
    {
        if (e is OutputClosedException) return StandardOutput.ExitCode;
        var (message, code) = Describe(e);
        if (rank > 0 && code != Watchdog.ExitCode)
            for (var left = FirstIsRoot + Math.Min(rank.Value, MostApart) * Apart; left > default(TimeSpan);
                left -= Apart)
            {
                if (reported?.Invoke() == true) return code;
                Thread.Sleep(Apart);
            }
        // An error of another rank begins with the number of that rank.
        var prefix = rank is null || message.StartsWith("rank ", StringComparison.Ordinal) ? "" : $"rank {rank}: ";
        Console.Error.WriteLine($"{program}: {prefix}{message}");
        if (code == Commands.Internal && Environment.GetEnvironmentVariable(TraceVariable) is { Length: > 0 })
            Console.Error.WriteLine(e);
        if (rank is not null) Thread.Sleep(ReadByLauncher);
        return code;
    }

    /// <summary>Returns one line for an exception that ended a command, and the exit code.</summary>
    static (string Message, int Code) Describe(Exception thrown) => Innermost(thrown) switch
    {
        CudaException { OfOtherRank: true } e =>
            ($"{e.Message}; resume the run", Watchdog.ExitCode),
        SaeException e => (SettingSpelling.ForCommandLine(e.Message), Commands.Refused),
        var e when AtomicFile.IsRefusal(e) =>
            ($"{AtomicFile.Reason(e)}; free some space or choose another folder", Commands.Refused),
        OutOfMemoryException =>
            ("the machine ran out of memory; use fewer latents or smaller batches", Commands.Refused),
        var e => (new SaeException($"internal error: {e.GetType().Name}: {e.Message.TrimEnd('.')}; please report it, "
            + $"with what {TraceVariable}=1 adds").Message, Commands.Internal),
    };

    /// <summary>Unwraps the exception that a thread or a type initializer threw.</summary>
    static Exception Innermost(Exception e) => e switch
    {
        AggregateException all when all.Flatten().InnerExceptions is { Count: > 0 } inner =>
            Innermost(inner.FirstOrDefault(one => one is SaeException) ?? inner[0]),
        TargetInvocationException or TypeInitializationException when e.InnerException is { } inner => Innermost(inner),
        _ => e,
    };
}
