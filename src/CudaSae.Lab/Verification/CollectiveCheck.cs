using CudaSae.Distributed;

namespace CudaSae.Lab.Verification;

/// <summary>Checks the collectives of several ranks against plain computations. All ranks run it at the same
/// time.</summary>
static unsafe class CollectiveCheck
{
    /// <summary>Runs every collective on messages of a size.</summary>
    /// <exception cref="SaeException">A result is wrong.</exception>
    public static void Run(ICollective ranks, int bytes)
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

        int[] words = [.. Enumerable.Range(0, bytes / 4).Select(i => i * 7 + rank)];
        ranks.Sum(words);
        Require("Sum of int32", Enumerable.Range(0, bytes / 4).Select(i => i * 7 * size + size * (size - 1) / 2),
            words);
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
    static void Pass(ICollective ranks, int bytes)
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
