using System.Diagnostics;

namespace CudaSae.Cli;

/// <summary>What this process has taken of the machine's memory.</summary>
static class PeakMemory
{
    /// <summary>The largest resident size so far, bytes: on Linux VmHWM of /proc/self/status.</summary>
    public static long Resident()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
