using System.Diagnostics;

namespace CudaSae.Cli;

/// <summary>The memory that this process has taken.</summary>
static class PeakMemory
{
    /// <summary>The largest resident size so far in bytes; on Linux VmHWM of /proc/self/status.</summary>
    public static long Resident()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
