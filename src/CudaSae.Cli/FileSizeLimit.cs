using System.Runtime.InteropServices;

namespace CudaSae.Cli;

/// <summary>A file that would exceed the limit of ulimit -f is a failed write, which says so, and no end of the process
/// by SIGXFSZ.</summary>
static class FileSizeLimit
{
    const int Signal = 25;      // SIGXFSZ on Linux and macOS

    // to the end of the process: a signal may be handled after the write it belongs to
    static PosixSignalRegistration? registration;

    public static void IsAnError() =>
        registration ??= OperatingSystem.IsWindows() ? null
            : PosixSignalRegistration.Create((PosixSignal)Signal, context => context.Cancel = true);
}
