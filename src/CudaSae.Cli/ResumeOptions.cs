using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>Reads the options beside train --resume. Each is applied, or refused by name with the reason.</summary>
static class ResumeOptions
{
    /// <param name="ranks">The ranks, which all resume the run.</param>
    /// <param name="moved">The new place of the run's rows; null if they have not moved.</param>
    /// <param name="ofThisProcess">Options that are not settings of the run.</param>
    /// <exception cref="SaeException">An option that cannot change.</exception>
    public static Session Open(ParseResult parsed, string folder, Settings settings, RunRanks ranks,
        MovedData? moved, params Option[] ofThisProcess)
    {
        var fields = new List<string>();
        foreach (var option in parsed.CommandResult.Command.Options)
        {
            if (ofThisProcess.Contains(option) || option == settings.Backend
                || parsed.GetResult(option) is not { Implicit: false })
                continue;
            if (option.Name == "--set")
                fields.AddRange(settings.SetFields(parsed, "config")
                    .Select(field => Changeable($"--set config.{field}", field.Split('.')[0])));
            else fields.Add(Changeable(option.Name, option.Name[2..].Replace('-', '_')));
        }
        foreach (var field in settings.SetFields(parsed, "spec")) Changeable($"--set spec.{field}", "");
        BackendKind? kind = parsed.GetResult(settings.Backend) is { Implicit: false }
            ? parsed.GetValue(settings.Backend) : null;
        return Session.Resume(folder, ranks, kind, config => settings.Over(parsed, config).Validate(), fields, moved);
    }

    /// <summary>Refuses an option that no run can change.</summary>
    public static void Refuse(string option) => Changeable(option, "");

    static string Changeable(string option, string field)
    {
        var why = option switch
        {
            "--out" => "the run stays in its folder",
            "--tensor" => "a resumed run reads the data it began with",
            "--preset" => "a run begins with it",
            _ when ResumeRules.IsConfigField(field) => ResumeRules.WhyFixed(field),
            // an unknown field, which is refused where it is set
            _ when option.StartsWith("--set config.", StringComparison.Ordinal) => null,
            _ => "it is part of the SAE",
        };
        return why is null ? field
            : throw new SaeException($"{option} cannot be changed when a run is resumed: {why}; leave it out, or start "
                + "a new run");
    }
}
