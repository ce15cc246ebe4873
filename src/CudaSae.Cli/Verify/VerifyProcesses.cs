using System.Diagnostics;

namespace CudaSae.Cli;

/// <summary>The processes of one verification: after an error that ends a process's context, the remaining cases run in
/// a new process.</summary>
static class VerifyProcesses
{
    /// <summary>The hidden option that states where a later process continues.</summary>
    public const string Option = "--continue-from";

    /// <summary>Exit code of a later process whose context is lost.</summary>
    const int ContextLost = 75;

    /// <summary>Exit code of a program that reports a <see cref="SaeException"/>.</summary>
    const int Refused = 2;

    /// <summary>Runs the first process's cases here, and the rest in as many processes as needed.</summary>
    public static VerifyProgress First(Func<Action<VerifyProgress>, VerifyRun> open)
    {
        var (progress, lost) = open(static _ => { }).From(default);
        if (!lost) return progress;
        var file = Path.GetTempFileName();
        try
        {
            while (lost)
            {
                Console.WriteLine("the error ended this process's context: the remaining cases run in a new process");
                progress.Write(file);
                (progress, lost) = Outcome(Start(file), file);
            }
            return progress;
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>Runs the cases in this process alone, which is one of several ranks.</summary>
    /// <exception cref="SaeException">An error ended the context of a rank.</exception>
    public static VerifyProgress Only(Func<Action<VerifyProgress>, VerifyRun> open)
    {
        var (progress, lost) = open(static _ => { }).From(default);
        return !lost ? progress
            : throw new SaeException("the error ended a rank's context: the remaining cases were not run",
                kind: SaeErrorKind.Device);
    }

    /// <summary>Runs a later process's cases, in that process.</summary>
    public static int Later(string file, Func<Action<VerifyProgress>, VerifyRun> open)
    {
        var (_, lost) = open(progress => progress.Write(file)).From(VerifyProgress.Read(file));
        return lost ? ContextLost : 0;
    }

    static (VerifyProgress Progress, bool Lost) Outcome(int code, string file)
    {
        var progress = VerifyProgress.Read(file);
        if (code is 0 or ContextLost) return (progress, code == ContextLost);
        if (code == Refused)
            throw new SaeException("the remaining cases were not run: the device cannot be opened again");
        // The process ended inside the current case.
        Console.WriteLine($"ERROR, the process ended with code {code}");
        return (progress with { Next = progress.Next + 1, Failed = progress.Failed + 1 }, true);
    }

    /// <summary>Runs this program again with the same arguments and returns its exit code.</summary>
    static int Start(string file)
    {
        var (program, arguments) = (Environment.ProcessPath!, Environment.GetCommandLineArgs());
        var hosted = Path.GetFileNameWithoutExtension(program) == "dotnet";      // its first argument is the assembly
        var start = new ProcessStartInfo(program, [.. arguments.Skip(hosted ? 0 : 1), Option, file]);
        using var process = Process.Start(start)!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
