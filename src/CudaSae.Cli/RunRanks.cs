using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Files;

namespace CudaSae.Cli;

/// <summary>The ranks of a run of train or finetune; one process is a single rank. Rank 0 prints and writes. The other
/// ranks run the same code with a standard output that is dropped.</summary>
sealed class RunRanks
{
    readonly Watchdog? watchdog;

    RunRanks(ICollective? collective, RankSettings settings, Watchdog? watchdog = null) =>
        (Collective, Settings, this.watchdog) = (collective, settings, watchdog);

    /// <summary>The ranks; null for one process.</summary>
    public ICollective? Collective { get; }

    /// <summary>How the ranks work together.</summary>
    public RankSettings Settings { get; }

    /// <summary>Whether this process prints and writes the folder of the run.</summary>
    public bool IsRoot => Collective is not { Rank: > 0 };

    /// <summary>Runs a command on all ranks. An error on one rank ends all of them.</summary>
    /// <param name="settings">How the ranks work together.</param>
    /// <param name="timeout">The longest wait for other ranks; 0 for no limit.</param>
    /// <param name="kind">Returns the backend of the run, if there are several ranks.</param>
    /// <param name="command">Returns the exit code, which is the same on all ranks.</param>
    /// <returns>The exit code.</returns>
    public static int Run(RankMode mode, RankSettings settings, TimeSpan timeout, Func<BackendKind> kind,
        Func<RunRanks, int> command)
    {
        if (Ranks.Place(mode) is not { } place) return command(new(null, settings));
        var watchdog = new Watchdog(place.Rank, timeout == default ? TimeSpan.MaxValue : timeout,
            line => Watchdog.EndProcess($"{Commands.Program}: {line}"));
        ICollective joined;
        try
        {
            watchdog.Enter("connection");
            joined = RankConnection.Open(place, kind());
            watchdog.Leave();
        }
        catch (SaeException e)
        {
            watchdog.Dispose();
            return RefuseConnection(e, place);
        }
        var devices = joined as NcclCollective;
        if (devices is not null) watchdog.Watch(devices.Fault);
        var collective = new WatchedCollective(joined, watchdog);
        if (collective.Rank > 0) StandardOutput.Drop();
        var exitCode = 0;
        try
        {
            var code = command(new(collective, settings, watchdog));
            collective.WaitsLong(true);
            collective.Barrier();       // rank 0 has written everything when a launcher sees the first exit code
            collective.Dispose();
            return code;
        }
        // The filter reports the error before the command releases its devices, which may wait for other ranks.
        catch (Exception e) when (Reported(e))
        {
            collective.Abort(exitCode);
            return exitCode;
        }

        bool Reported(Exception e)
        {
            if (collective.Failed) return true;         // a release throws after the error
            watchdog.AtError();
            exitCode = CommandFailure.Report(e, Commands.Program, collective.Rank,
                devices is null ? null : () => devices.Fault() is not null);
            return collective.Failed = true;
        }
    }

    static int RefuseConnection(SaeException e, RankEnvironment place)
    {
        if (!place.StartsMpi || place.LocalRank == 0) return CommandFailure.Report(e, Commands.Program, place.Rank);
        // The first rank of the machine reports this error, which all have.
        Thread.Sleep(CommandFailure.FirstIsRoot);
        return Commands.Refused;
    }

    /// <summary>Reports an error in the command line of a process that has not joined the ranks yet. It joins them
    /// first, so that it ends those that wait for it.</summary>
    /// <param name="arguments">The command line.</param>
    /// <param name="program">Name of the program in messages.</param>
    /// <returns>The exit code.</returns>
    public static int Refuse(SaeException fault, IReadOnlyList<string> arguments, string program)
    {
        ICollective? collective = null;
        try
        {
            if (Launched.Place is { } place && RankConnection.UsesMpi(place, RankEnvironment.OfProcess)
                && !RankOptions.IsOff(arguments))
                collective = Ranks.OpenMpi(place);
        }
        catch (SaeException) { }        // the error in the command line comes first
        return collective is null ? CommandFailure.Report(fault, program, Launched.Place?.Rank)
            : End(collective, fault, program);
    }

    static int End(ICollective collective, Exception e, string program)
    {
        var code = CommandFailure.Report(e, program, collective.Rank);
        collective.Abort(code);
        return code;
    }

    /// <summary>Returns the answer of rank 0 to a question about files, on all ranks.</summary>
    public bool RootFinds(Func<bool> question)
    {
        if (Collective is null) return question();
        Span<int> answer = [IsRoot && question() ? 1 : 0];
        Collective.Broadcast(answer, 0);
        return answer[0] > 0;
    }

    /// <summary>Lets rank 0 take the folder of the run, and gives its name to all.</summary>
    /// <returns>The folder, and on rank 0 its lock.</returns>
    public (string Folder, FolderLock? Lock) Take(Func<(string Folder, FolderLock Lock)> take)
    {
        var (folder, taken) = IsRoot ? take() : default((string, FolderLock?));
        if (Collective is not null)
        {
            var full = Collective.Broadcast(IsRoot ? Path.GetFullPath(folder) : null, 0);
            if (!IsRoot) folder = full;
        }
        if (watchdog is not null) watchdog.Advice = $"resume the run with --resume {folder}";
        return (folder, taken);
    }

    /// <summary>Waits for all ranks.</summary>
    public void Meet() => Collective?.Barrier();

    /// <summary>Returns the largest of the ranks' exit codes.</summary>
    public int Agree(int code) => Collective is null ? code : (int)Collective.Max(code);
}
