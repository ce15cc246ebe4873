using System.CommandLine;
using System.CommandLine.Help;
using System.Text.Json.Nodes;
using CudaSae.Cli;
using CudaSae.Model;

namespace CudaSae.Bench.Reference;

/// <summary>docs/reference/settings.md: the table of settings, and the other options of train.</summary>
static class SettingsPage
{
    public static string Text() =>
        $"""
        {ReferencePages.Notice}
        # Settings

        A run has two records: a spec, which describes the SAE, and a config, which describes its training. `train.json`
        of a run shows both. A setting has one name in each front:

        - the command line: the option below, or `--set config.FIELD=JSON`, `--set spec.FIELD=JSON`
        - C and Python: the field, in the object `config` or `spec` of the trainer's settings
        - C#: the property of `TrainConfig` or `SaeSpec`, which is the field in PascalCase

        A preset sets every value. A value that is given replaces the value of the preset. The defaults below are those
        of the records; `cudasae presets` lists what a preset changes.

        ## Config

        "Resume" states whether `train --resume` may change the setting. A fixed setting is refused with the reason.

        {Config()}
        ## Spec and command

        Options of `train` that are not fields of the config:

        {Others()}
        """;

    static string Config()
    {
        var defaults = SaeRecords.Write(new TrainConfig()).AsObject();
        return ReferencePages.Table(["Field", "Option", "Range", "Unit", "Default", "Resume", "Meaning"],
            ConfigSettings.All.Select(setting => (string[])
            [
                $"`{setting.Field}`", setting.HasOption ? $"`{setting.Flag}`" : "",
                setting.Range.Replace("one of ", ""), setting.Unit,
                $"`{Default(defaults[setting.Field])}`",
                setting.Resume.WhyFixed is { } why ? $"fixed: {why}" : "may change",
                SettingSpelling.ForRecords(setting.Help),
            ]));
    }

    static string Default(JsonNode? value) => value?.ToJsonString().Trim('"').Replace("E-", "e-") ?? "null";

    static string Others()
    {
        var config = ConfigSettings.All.Select(setting => setting.Flag).ToHashSet();
        var train = Commands.Root().Subcommands.Single(command => command.Name == "train");
        return ReferencePages.Table(["Option", "Values", "Default", "Meaning"],
            train.Options.Where(option => option is not HelpOption && !config.Contains(option.Name) && !option.Hidden)
                .OrderBy(option => option.Name, StringComparer.Ordinal)
                .Select(option => (string[])
                [
                    $"`{option.Name}`", option.HelpName ?? "", Standard(option), option.Description ?? "",
                ]));
    }

    static string Standard(Option option) => !option.HasDefaultValue || option.GetDefaultValue() is not { } value ? ""
        : $"`{(value is Enum named ? Forms.NameOf(named) : value is bool truth ? (truth ? "true" : "false")
            : FormattableString.Invariant($"{value}"))}`";
}
