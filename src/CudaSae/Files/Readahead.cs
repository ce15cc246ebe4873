using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace CudaSae.Files;

/// <summary>Tells the system which bytes of a file are wanted soon, so that many reads are under way at once. A row
/// that is read unannounced is read alone, with a
/// window of neighbours that a shuffled order does not want: of a cold gigabyte in rows of 2 KiB that was 64 times the
/// bytes, and a fifth of the rows a second.</summary>
static partial class Readahead
{
    const int WillNeedAdvice = 3;       // POSIX_FADV_WILLNEED on Linux

    /// <summary>Starts reading what of these bytes is not in memory; does not wait.</summary>
    public static void WillNeed(SafeFileHandle file, long offset, long length)
    {
        // advice: whether it is taken changes no result
        if (OperatingSystem.IsLinux()) _ = Advise(file, offset, length, WillNeedAdvice);
    }

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int Advise(SafeFileHandle file, long offset, long length, int advice);
}
