using System.Runtime.InteropServices;

namespace CudaSae.Data;

/// <summary>Tells the system which mapped bytes are wanted soon, so that many reads are under way at once. A row that is touched unannounced is read alone, with a
/// window of neighbours that a shuffled order does not want: of a cold gigabyte in rows of 2 KiB that was 64 times the bytes, and a fifth of the rows a second.</summary>
static unsafe partial class Readahead
{
    const int WillNeedAdvice = 3;       // MADV_WILLNEED, the same on Linux and macOS

    /// <summary>Starts reading what of these mapped bytes is not in memory; does not wait.</summary>
    public static void WillNeed(ReadOnlySpan<byte> mapped)
    {
        if (!OperatingSystem.IsLinux() && !OperatingSystem.IsMacOS()) return;
        fixed (byte* start = mapped)
        {
            var page = (nuint)Environment.SystemPageSize;
            var first = (nuint)start / page * page;
            _ = Advise(first, (nuint)start + (nuint)mapped.Length - first, WillNeedAdvice);     // advice: whether it is taken changes no result
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nuint address, nuint length, int advice);
}
