using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace CudaSae.Cli;

/// <summary>Makes a run save a checkpoint and stop on SIGINT (Ctrl-C), SIGTERM, SIGHUP or SIGUSR1, or when standard
/// output can no longer be written. A second signal ends the process at once, except SIGUSR1, which a launcher may pass
/// on twice. At most one instance exists at a time.</summary>
sealed class Interrupt : IDisposable
{
    // SIGUSR1, by which SLURM announces the end of a job's time; 0 where it does not exist
    static readonly int UserSignal = OperatingSystem.IsLinux() ? 10 : OperatingSystem.IsMacOS() ? 30 : 0;

    const int FirstOfSignals = 128;     // exit code of a process that a signal stopped, by the shells' convention

    [SuppressMessage("Usage", "CA2213", Justification = "A signal may still arrive.")]
    readonly CancellationTokenSource source = new();
    readonly PosixSignalRegistration[] signals;

    public Interrupt()
    {
        signals =
        [
            Register(PosixSignal.SIGINT, 2), Register(PosixSignal.SIGTERM, 15), Register(PosixSignal.SIGHUP, 1),
            .. UserSignal > 0 ? [Register((PosixSignal)UserSignal, UserSignal)]
                : Array.Empty<PosixSignalRegistration>(),
        ];
        StandardOutput.WhenClosed(() => Stop(StandardOutput.ExitCode));
    }

    public CancellationToken Token => source.Token;

    /// <summary>128 + the number of the signal; 0 before any signal.</summary>
    public int ExitCode { get; private set; }

    PosixSignalRegistration Register(PosixSignal signal, int number) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = number == UserSignal || !source.IsCancellationRequested;
            Stop(FirstOfSignals + number);
        });

    void Stop(int code)
    {
        if (ExitCode == 0) ExitCode = code;
        source.Cancel();
    }

    public void Dispose()
    {
        StandardOutput.WhenClosed(null);
        foreach (var signal in signals) signal.Dispose();
    }
}
