using System.Runtime.InteropServices;
using CudaSae.Files.Zip;

namespace CudaSae.Distributed;

/// <summary>The machines of the ranks, by a checksum of their names.</summary>
static class Machine
{
    /// <summary>Returns the machine of each rank. All ranks call it.</summary>
    public static long[] OfRanks(ICollective ranks) =>
        ranks.AllGather((long)Crc32.Append(0, MemoryMarshal.AsBytes(Environment.MachineName.AsSpan())));

    /// <summary>Returns whether each group of <paramref name="size"/> ranks with consecutive numbers is on one
    /// machine.</summary>
    public static bool AreConsecutive(long[] machines, int size)
    {
        for (var rank = 0; rank < machines.Length; rank++)
            if (machines[rank] != machines[rank / size * size]) return false;
        return true;
    }
}
