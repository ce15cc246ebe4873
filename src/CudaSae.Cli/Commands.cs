using System.CommandLine;
using CudaSae.Cli.Help;

namespace CudaSae.Cli;

/// <summary>Holds the program's commands; parses and runs a command line. <see cref="CommandFaults"/> describes errors
/// in one.</summary>
static class Commands
{
    /// <summary>Exit codes for an error that the user can fix and for an internal error.</summary>
    public const int Refused = 2, Internal = 70;

    public const string Program = "cudasae";

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
            var fault = CommandFaults.Of(parsed, arguments, program) ?? Launched.Fault(parsed.CommandResult);
            if (fault is not null) return RunRanks.Refuse(new SaeException(fault), arguments, program);
            return parsed.Invoke(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e) { return CommandFailure.Report(e, program, Launched.Place?.Rank); }
    }
}
