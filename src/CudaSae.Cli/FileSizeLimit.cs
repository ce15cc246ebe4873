using System.Runtime.InteropServices;

namespace CudaSae.Cli;

/// <summary>Turns a write beyond the limit of ulimit -f into a failed write with a message, instead of the end of the
/// process by SIGXFSZ.</summary>
static class FileSizeLimit
{
    const int Signal = 25;      // SIGXFSZ on Linux and macOS

    // Kept until the process ends: a signal may be handled after the write that caused it.
    static PosixSignalRegistration? registration;

    public static void IsAnError() =>
        registration ??= OperatingSystem.IsWindows() ? null
            : PosixSignalRegistration.Create((PosixSignal)Signal, context => context.Cancel = true);
}
