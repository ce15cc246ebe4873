using System.CommandLine;
using System.CommandLine.Help;
using System.Globalization;
using System.Text;
using CudaSae.Cli;
using CudaSae.Model;

namespace CudaSae.Testing.Fuzz;

/// <summary>Command lines: they are parsed with the whole tree of commands, and those of train are turned into the
/// records of a run. Nothing is executed.</summary>
sealed partial class FuzzTargets
{
    const int MostBytes = 1 << 17;      // the longest that a system passes

    static byte[] Line(IEnumerable<string> words) => Encoding.UTF8.GetBytes(string.Join('\n', words));

    static string[] Words(byte[] bytes) => bytes.Length <= MostBytes ? Encoding.UTF8.GetString(bytes).Split('\n')
        : throw new SaeException("longer than a command line");

    static FuzzTarget CommandLines()
    {
        var root = Commands.Root();
        void Read(byte[] bytes)
        {
            var words = Words(bytes);
            var parsed = Commands.Parse(root, words);
            if (CommandFaults.Of(parsed, words) is { } fault) throw new SaeException(fault);
            if (parsed.Action is null) throw new InvalidOperationException("a command line without a command was "
                + "taken");
        }
        return new("command-line",
            [.. Leaves(root, []).SelectMany(leaf => (FuzzCase[])[new(Line(leaf.Least), WordStructure.Mutate, Read),
            new(Line(leaf.All), WordStructure.Mutate, Read)])],
            [.. WordStructure.Values.Select(Encoding.UTF8.GetBytes)]);
    }

    /// <summary>Returns every executable command with its required arguments and all options that have a
    /// default.</summary>
    static IEnumerable<(string[] Least, string[] All)> Leaves(Command command, string[] path)
    {
        if (command.Action is not null && path.Length > 0)
        {
            string[] least = [.. path, .. command.Arguments.SelectMany(a =>
                Enumerable.Repeat("x", a.Arity.MinimumNumberOfValues)), .. command.Options.Where(o => o.Required)
                .SelectMany(o => (string[])[o.Name, "x"])];
            yield return (least, [.. least, .. command.Options.Where(o => !o.Required
                && o is not (HelpOption or VersionOption)).SelectMany(Standard)]);
        }
        foreach (var below in command.Subcommands)
            foreach (var leaf in Leaves(below, [.. path, below.Name])) yield return leaf;
    }

    /// <summary>Returns an option with its default, written as a user writes it.</summary>
    public static string[] Standard(Option option) => option switch
    {
        _ when option.ValueType == typeof(bool) => [option.Name, "false"],
        _ when !option.HasDefaultValue || option.Name == "--device-pool"
            || option.GetDefaultValue() is "" or string[] or null => [],
        _ => [option.Name, option.ValueType.IsEnum ? option.GetDefaultValue()!.ToString()!
            : Convert.ToString(option.GetDefaultValue(), CultureInfo.InvariantCulture)!],
    };

    static FuzzTarget TrainLines()
    {
        var settings = new Settings();
        var train = new Command("train");
        settings.AddTo(train);
        void Read(byte[] bytes)
        {
            var words = Words(bytes);
            var parsed = Commands.Parse(train, words);
            if (CommandFaults.Of(parsed, words) is { } fault) throw new SaeException(fault);
            if (parsed.Action is not null) return;      // --help
            var (spec, config) = settings.Records(parsed, settings.Preset(parsed).NeedsTarget ? [64, 32] : [64]);
            SpecRules.Check(spec, config);
        }
        string[] small = ["--latents", "128", "--k", "4", "--batch-rows", "32", "--vectors", "3200", "--aux-k", "8"];
        string[][] edits = [["--set", "spec.selection.k=3"],
            ["--set", "config.optimizer=sgd", "--set", "config.resampling={\"every\":10}"],
            ["--set", "spec.aux=null", "--learning-rate", "1e-3"],
            ["--dead-after", "100", "--beta1", "0", "--lazy", "true"]];
        return new("train-options",
            [.. Preset.All.Select(p =>
            new FuzzCase(Line(["--preset", p.Name, .. small[..8]]), WordStructure.Mutate, Read)),
            .. edits.Select(e => new FuzzCase(Line([.. small, .. e]), WordStructure.Mutate, Read))],
            [.. WordStructure.Values.Select(Encoding.UTF8.GetBytes),
                .. train.Options.Select(o => Encoding.UTF8.GetBytes(o.Name))]);
    }
}
