using System.CommandLine;
using System.Diagnostics;
using CudaSae.Backends;
using CudaSae.Cli;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;

namespace CudaSae.Bench;

/// <summary>Runs cudasae-bench ranks under a launcher: checks every collective against the same data computed on the
/// rank, in one message and in pieces, and that MPI leaves .NET's signals alone.</summary>
static class RanksCommand
{
    const int Piece = 1000, Repeats = 200;

    public static Command Create()
    {
        var backend = Settings.NewBackend("cuda or emulator: the collectives of ranks that torchrun starts, over NCCL; "
            + "otherwise those of MPI");
        var command = new Command("ranks",
            "Check and time the collectives of the ranks that mpirun, mpiexec or torchrun starts.") { backend };
        command.SetAction(parsed => Run(parsed.GetValue(backend)));
        return command;
    }

    static ICollective Open(BackendKind kind)
    {
        if (kind is BackendKind.Cuda or BackendKind.Emulator)
            return RankConnection.Open(Ranks.Place(RankMode.Auto)
                ?? throw new SaeException("start ranks with torchrun"), kind);
        var library = MpiLibrary.TryLoad(MpiLibrary.NamesFor(RankEnvironment.OfProcess), out var why)
            ?? throw new SaeException($"MPI cannot be loaded: {why}");
        return new MpiCollective(library, piece: Piece);
    }

    static int Run(BackendKind kind)
    {
        using var ranks = Open(kind);
        try
        {
            CatchANullReference();
            foreach (var bytes in new[] { 0, 1, 77, Piece, 10 * Piece + 3 }) CollectiveCheck.Run(ranks, bytes);
            var other = new Thread(() => CollectiveCheck.Run(ranks, Piece));
            other.Start();
            other.Join();
            var clock = Stopwatch.StartNew();
            for (var i = 0; i < Repeats; i++) ranks.Sum(i);
            if (ranks.Rank == 0)
                Console.WriteLine($"{ranks.Size} ranks are right: {ranks.Description}; a sum takes "
                    + FormattableString.Invariant($"{clock.Elapsed.TotalMicroseconds / Repeats:0.0} µs"));
            return 0;
        }
        catch (Exception e)
        {
            Console.Error.WriteLine($"{BenchCommands.Program}: rank {ranks.Rank}: {e.Message}");
            ranks.Abort(1);
            return 1;
        }
    }

    /// <summary>.NET turns SIGSEGV into this exception, if no library took the signal.</summary>
    static void CatchANullReference()
    {
        try { _ = Environment.GetEnvironmentVariable("CUDASAE_NOT_SET")!.Length; }
        catch (NullReferenceException) { return; }
        throw new SaeException("a null reference was not an exception");
    }
}
