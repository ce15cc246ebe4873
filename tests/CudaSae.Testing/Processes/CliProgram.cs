using System.Diagnostics;

namespace CudaSae.Testing.Processes;

/// <summary>The command line programs beside the tests. They run as executables, so that no SDK is needed.</summary>
static class CliProgram
{
    public static ProcessStartInfo Start(params string[] arguments) => Beside("CudaSae.Cli", arguments);

    /// <summary>Starts cudasae-bench in the same way.</summary>
    public static ProcessStartInfo StartBench(params string[] arguments) => Beside("cudasae-bench", arguments);

    static ProcessStartInfo Beside(string name, string[] arguments)
    {
        var program = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? $"{name}.exe" : name);
        return new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
    }

    /// <summary>Runs the program on one thread. The number of threads does not change the bits, and on a busy machine
    /// small steps do not wait for another thread.</summary>
    public static ProcessStartInfo OnOneThread(params string[] arguments)
    {
        var start = Start(arguments);
        start.Environment["DOTNET_PROCESSOR_COUNT"] = "1";
        return start;
    }

    /// <summary>Runs the process to its end.</summary>
    public static (int Code, string Output, string Error) Run(ProcessStartInfo start)
    {
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }
}
