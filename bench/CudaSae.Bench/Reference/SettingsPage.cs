using System.CommandLine;
using System.CommandLine.Help;
using System.Text.Json.Nodes;
using CudaSae.Cli;
using CudaSae.Model;

namespace CudaSae.Bench.Reference;

/// <summary>docs/reference/settings.md: the tables of settings, and the other options of train.</summary>
static class SettingsPage
{
    public static string Text(XmlDocs docs) =>
        $"""
        {ReferencePages.Notice}
        # Settings

        A run has two records: a spec, which describes the SAE, and a config, which describes its training. `train.json`
        of a run shows both. A setting has one name in each front:

        - the command line: the option below, or `--set config.FIELD=JSON`, `--set spec.FIELD=JSON`
        - C and Python: the field, in the object `config` or `spec` of the trainer's settings
        - C#: the property of `TrainConfig`, of `SaeSpec` or of a record in it, which is the field in PascalCase

        A preset sets every value. A value that is given replaces the value of the preset. The defaults below are those
        of the records; `cudasae presets` lists what a preset changes.

        ## Config

        "Resume" states whether `train --resume` may change the setting. A fixed setting is refused with the reason.

        {Config()}
        ## Spec

        A field of the spec is part of the SAE, so `train --resume` refuses to change it.

        `selection.k` is the field `k` of the record in `selection`. The field `kind` of `selection`, `nested` and
        `penalty` names one of the kinds below, and each kind has its own fields. A required field has no default, but
        presets set it.

        If the command line does not give them, the preset is `{SpecDefaults.Preset}`, `--latents` is
        {SpecDefaults.Latents} and `--k` is {SpecDefaults.K}. `--aux-k 0` sets `aux` to null. `--dead-after` sets
        `dead_after_tokens` of the spec and of its losses.

        {SpecSection.Text(docs)}
        ## Command

        Options of `train` that are not fields of a record:

        {Others()}
        """;

    static string Config()
    {
        var defaults = SaeRecords.Write(new TrainConfig()).AsObject();
        return ReferencePages.Table(["Field", "Option", "Range", "Unit", "Default", "Resume", "Meaning"],
            ConfigSettings.All.Select(setting => (string[])
            [
                $"`{setting.Field}`", setting.HasOption ? $"`{setting.Flag}`" : "",
                Range(setting), setting.Unit,
                $"`{Default(defaults[setting.Field])}`",
                setting.Resume.WhyFixed is { } why ? $"fixed: {why}" : "may change",
                SettingSpelling.ForRecords(setting.Help),
            ]));
    }

    /// <summary>The range of a setting. The names of a choice stand alone.</summary>
    public static string Range(Setting setting) =>
        setting.Range.StartsWith("one of ", StringComparison.Ordinal) ? setting.Range[7..] : setting.Range;

    static string Default(JsonNode? value) =>
        value is null ? "null" : Markdown.Exponents(value.ToJsonString().Trim('"'));

    static string Others()
    {
        var fields = ConfigSettings.All.Concat(SpecSettings.Parts.SelectMany(part => part.Settings))
            .Where(setting => setting.HasOption).Select(setting => setting.Flag).ToHashSet();
        var train = Commands.Root().Subcommands.Single(command => command.Name == "train");
        return ReferencePages.Table(["Option", "Values", "Default", "Meaning"],
            train.Options.Where(option => option is not HelpOption && !fields.Contains(option.Name) && !option.Hidden)
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
