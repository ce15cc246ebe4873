using System.CommandLine;
using System.Reflection;
using CudaSae.Cli.Help;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>Holds the program's commands; parses and runs a command line. <see cref="CommandFaults"/> describes errors
/// in one.</summary>
static class Commands
{
    /// <summary>Exit codes for an error that the user can fix and for an internal error.</summary>
    public const int Refused = 2, Internal = 70;

    public const string Program = "cudasae";

    const string TraceVariable = "CUDASAE_TRACE";

    public static RootCommand Root()
    {
        var root = new RootCommand("Trains sparse autoencoders on neural activations, on a GPU or on the CPU.")
        {
            TrainCommand.Create(),
            EvalCommand.Create(),
            VerifyCommand.Create(),
            DevicesCommand.Create(),
            BenchCommand.Create(),
            HarvestCommand.Create(),
            SynthCommand.Create(),
            RecoverCommand.Create(),
            InspectCommand.Create(),
            PresetsCommand.Create(),
            FinetuneCommand.Create(),
            CompareCommand.Create(),
            SweepCommand.Create(),
            ConvertCommand.Create(),
            ReportCommand.Create(),
            ProbeCommand.Create(),
            LabelsCommand.Create(),
            OthelloCommand.Create(),
            ToyCommand.Create(),
            ImagesCommand.Create(),
        };
        root.Directives.Clear();
        HelpOptions.AddTo(root, Program);
        return root;
    }

    /// <summary>Parses words literally, without response files or bundled letters.</summary>
    public static ParseResult Parse(Command command, IReadOnlyList<string> arguments) =>
        command.Parse(arguments, new() { EnablePosixBundling = false, ResponseFileTokenReplacer = null });

    /// <summary>Runs a command line and returns its exit code. A refusal is one line on the error stream.</summary>
    /// <param name="root">The commands of the program.</param>
    /// <param name="program">Name of the program in messages.</param>
    public static int Run(RootCommand root, IReadOnlyList<string> arguments, string program = Program)
    {
        try
        {
            var parsed = Parse(root, arguments);
            if (CommandFaults.Of(parsed, arguments, program) is { } fault) throw new SaeException(fault);
            return parsed.Invoke(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (OutputClosedException) { return StandardOutput.ExitCode; }
        catch (Exception e)
        {
            var (message, code) = Describe(e);
            Console.Error.WriteLine($"{program}: {message}");
            if (code == Internal && Environment.GetEnvironmentVariable(TraceVariable) is { Length: > 0 })
                Console.Error.WriteLine(e);
            return code;
        }
    }

    /// <summary>Returns one line for an exception that ended a command, and the exit code.</summary>
    static (string Message, int Code) Describe(Exception thrown) => Innermost(thrown) switch
    {
        SaeException e => (SettingSpelling.ForCommandLine(e.Message), Refused),
        var e when AtomicFile.IsRefusal(e) =>
            ($"{AtomicFile.Reason(e)}; free some space or choose another folder", Refused),
        OutOfMemoryException => ("the machine ran out of memory; use fewer latents or smaller batches", Refused),
        var e => (new SaeException($"internal error: {e.GetType().Name}: {e.Message.TrimEnd('.')}; please report it, "
            + $"with what {TraceVariable}=1 adds").Message, Internal),
    };

    /// <summary>Unwraps the exception that a thread or a type initializer threw.</summary>
    static Exception Innermost(Exception e) => e switch
    {
        AggregateException all when all.Flatten().InnerExceptions is { Count: > 0 } inner =>
            Innermost(inner.FirstOrDefault(one => one is SaeException) ?? inner[0]),
        TargetInvocationException or TypeInitializationException when e.InnerException is { } inner => Innermost(inner),
        _ => e,
    };
}
