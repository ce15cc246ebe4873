using System.CommandLine;
using System.CommandLine.Parsing;
using CudaSae.Distributed;

namespace CudaSae.Cli;

/// <summary>The process as one of several that a launcher started.</summary>
static class Launched
{
    /// <summary>Commands that the ranks run together, and commands that any process may run.</summary>
    static readonly string[] Together = ["train", "finetune", "verify", "ranks"], Anywhere = ["devices", "presets"];

    /// <summary>The place of this process among several; null for one process, and if the environment
    /// is contradictory, which train refuses.</summary>
    public static RankEnvironment? Place { get; } = Find();

    static RankEnvironment? Find()
    {
        try { return RankEnvironment.Of(RankEnvironment.OfProcess) is { Size: > 1 } place ? place : null; }
        catch (SaeException) { return null; }
    }

    /// <summary>Returns the error of a command that runs in one process, if a launcher started several; otherwise
    /// null.</summary>
    public static string? Fault(CommandResult result) =>
        Place is null || NameOf(result) is not { } name || Together.Contains(name) || Anywhere.Contains(name) ? null
        : $"{name} runs in one process, but {Place.Launcher} started {Place.Size}; start it without {Place.Launcher}, "
            + $"or set {RankEnvironment.RanksVariable}={RankEnvironment.Off} to run it in each process";

    /// <summary>Returns the name of the command below the program; null for the program itself.</summary>
    static string? NameOf(CommandResult result) => result.Parent switch
    {
        CommandResult { Command: RootCommand } => result.Command.Name,
        CommandResult above => NameOf(above),
        _ => null,
    };
}
