using System.Diagnostics;

namespace CudaSae.Testing.Processes;

/// <summary>The command line program beside the tests: its own executable, so that no SDK is needed.</summary>
static class CliProgram
{
    public static ProcessStartInfo Start(params string[] arguments) =>
        new(Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "CudaSae.Cli.exe" : "CudaSae.Cli"), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };

    /// <summary>Threads do not change the bits. With one, small steps do not wait for another on a busy machine.</summary>
    public static ProcessStartInfo OnOneThread(params string[] arguments)
    {
        var start = Start(arguments);
        start.Environment["DOTNET_PROCESSOR_COUNT"] = "1";
        return start;
    }

    /// <summary>Runs to the end.</summary>
    public static (int Code, string Output, string Error) Run(ProcessStartInfo start)
    {
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }
}
