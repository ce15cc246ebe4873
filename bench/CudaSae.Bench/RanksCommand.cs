using System.CommandLine;
using System.Diagnostics;
using CudaSae.Distributed;

namespace CudaSae.Bench;

/// <summary>Runs cudasae-bench ranks under a launcher: checks every collective against the same data computed on the
/// rank, in one message and in pieces, and that MPI leaves .NET's signals alone.</summary>
static unsafe class RanksCommand
{
    const int Piece = 1000, Repeats = 200;

    public static Command Create()
    {
        var command = new Command("ranks",
            "Check and time the collectives of the ranks that mpirun or mpiexec starts.");
        command.SetAction(_ => Run());
        return command;
    }

    static int Run()
    {
        var library = MpiLibrary.TryLoad(MpiLibrary.NamesFor(RankEnvironment.OfProcess), out var why)
            ?? throw new SaeException($"MPI cannot be loaded: {why}");
        using var ranks = new MpiCollective(library, piece: Piece);
        try
        {
            CatchANullReference();
            foreach (var bytes in new[] { 0, 1, 77, Piece, 10 * Piece + 3 }) Check(ranks, bytes);
            var other = new Thread(() => Check(ranks, Piece));
            other.Start();
            other.Join();
            var clock = Stopwatch.StartNew();
            for (var i = 0; i < Repeats; i++) ranks.Sum(i);
            if (ranks.Rank == 0)
                Console.WriteLine($"{ranks.Size} ranks are right: {library.Version}, {library.Abi.Name}; a sum takes "
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

    static void Check(MpiCollective ranks, int bytes)
    {
        var (rank, size) = (ranks.Rank, ranks.Size);
        byte[] send = [.. Enumerable.Range(0, size).SelectMany(to => Message(rank, to, bytes))],
            received = new byte[send.Length];
        fixed (byte* from = send)
        fixed (byte* into = received) ranks.AllToAll(from, into, bytes);
        Require("AllToAll", Enumerable.Range(0, size).SelectMany(from => Message(from, rank, bytes)), received);

        // Rank p contributes p times as many bytes as rank 1, and rank 0 none.
        long[] starts = [.. Enumerable.Range(0, size + 1).Select(p => (long)bytes * p * (p - 1) / 2)];
        byte[] all = [.. Enumerable.Range(0, size).SelectMany(p => Message(p, 0, bytes * p))];
        var gathered = new byte[all.Length];
        Message(rank, 0, bytes * rank).CopyTo(gathered.AsSpan((int)starts[rank]));
        ranks.AllGather<byte>(gathered, starts);
        Require("AllGather", all, gathered);

        for (var root = 0; root < size; root++)
        {
            var copy = rank == root ? Message(root, 9, bytes) : new byte[bytes];
            ranks.Broadcast<byte>(copy, root);
            Require("Broadcast", Message(root, 9, bytes), copy);
        }
        Pass(ranks, bytes);

        long[] numbers = [.. Enumerable.Range(0, bytes / 8).Select(i => (long)i << 32 | (uint)rank)];
        var largest = numbers.ToArray();
        ranks.Sum(numbers);
        Require("Sum", Enumerable.Range(0, bytes / 8).Select(i => ((long)i << 32) * size + size * (size - 1) / 2),
            numbers);
        ranks.Max(largest);
        Require("Max", Enumerable.Range(0, bytes / 8).Select(i => (long)i << 32 | (uint)(size - 1)), largest);
        ranks.Barrier();
    }

    /// <summary>Passes a message from rank 0 to the last one.</summary>
    static void Pass(MpiCollective ranks, int bytes)
    {
        var message = ranks.Rank == 0 ? Message(0, 3, bytes) : new byte[bytes];
        fixed (byte* at = message)
        {
            if (ranks.Rank > 0) ranks.Receive(at, bytes, ranks.Rank - 1);
            if (ranks.Rank < ranks.Size - 1) ranks.Send(at, bytes, ranks.Rank + 1);
        }
        Require("Send", Message(0, 3, bytes), message);
    }

    static byte[] Message(int from, int to, int bytes)
    {
        var message = new byte[bytes];
        new Random(1000 * from + to).NextBytes(message);
        return message;
    }

    static void Require<T>(string what, IEnumerable<T> expected, T[] actual)
    {
        if (!expected.SequenceEqual(actual)) throw new SaeException($"{what} of {actual.Length} numbers is wrong");
    }
}
