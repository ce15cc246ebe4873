using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Backends;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>Builds the spec and the config from the command line. A preset gives every number, an option changes one,
/// and --set reaches the fields without an option.</summary>
sealed class Settings
{
    readonly Option<string> preset =
        Options.New("--preset", "published recipe to start from (cudasae presets)", SpecDefaults.Preset);
    readonly Option<string[]> set = new("--set")
    {
        Description =
            "any field of the two records, as spec.FIELD=JSON or config.FIELD=JSON, in snake_case; repeatable",
        AllowMultipleArgumentsPerToken = false
    };
    readonly SpecOptions spec = new();
    readonly ConfigOptions config = new();

    public Option<BackendKind> Backend { get; } = NewBackend("where to compute; auto takes a GPU if there is one");

    /// <param name="without">Names of options that the command defines itself.</param>
    public void AddTo(Command command, params ReadOnlySpan<string> without)
    {
        Option[] all = [preset, set, .. spec.All, .. config.Options, Backend];
        foreach (var option in all)
            if (!without.Contains(option.Name)) command.Options.Add(option);
    }

    /// <summary>Returns the preset that the command line names; null if it names none.</summary>
    public Preset? GivenPreset(ParseResult parsed) => Given(parsed, preset) ? Preset(parsed) : null;

    public bool GivesDeadAfter(ParseResult parsed) => spec.GivesDeadAfter(parsed);

    /// <summary>The options of the SAE.</summary>
    public IEnumerable<Option> OfSpec => spec.All;

    public Preset Preset(ParseResult parsed) => Model.Preset.Named(parsed.GetValue(preset)!);

    /// <param name="widths">Widths of the data's files: the input, then a transcoder's target or a crosscoder's further
    /// sites.</param>
    public (SaeSpec Spec, TrainConfig Config) Records(ParseResult parsed, params int[] widths) =>
        Records(parsed, Preset(parsed), widths);

    /// <inheritdoc cref="Records(ParseResult, int[])"/>
    /// <param name="from">The preset that the command line changes.</param>
    public (SaeSpec Spec, TrainConfig Config) Records(ParseResult parsed, Preset from, int[] widths)
    {
        var (made, config) = from.Make(widths[0], spec.LatentsOf(parsed), spec.KOf(parsed), Basis(parsed),
            run => Over(parsed, run), spec.DeadAfterOf(parsed));
        made = spec.Over(parsed, ForData(made, widths), config);
        return (FieldEdits.Apply(made, Edits(parsed, "spec")).Validate(), config);
    }

    /// <summary>Returns the same spec with latents that are dead after --dead-after rows.</summary>
    public SaeSpec WithDeadAfter(ParseResult parsed, SaeSpec finished, TrainConfig run) =>
        DeadAfter.Set(finished, run, spec.DeadAfterOf(parsed));

    /// <summary>Two files make a transcoder or a crosscoder, depending on the preset; more files make a
    /// crosscoder.</summary>
    static SaeSpec ForData(SaeSpec spec, int[] widths)
    {
        if (spec.Transcoder is { } transcoder)
        {
            if (widths.Length != 2)
                throw new SaeException("a transcoder needs its target: name one file or folder with --beside");
            return spec with { Transcoder = transcoder with { OutputWidth = widths[1] } };
        }
        if (spec.Sites is not null) return spec with { InputWidth = widths.Sum(), Sites = widths };
        if (widths.Length > 1)
            throw new SaeException("--beside needs a preset that uses it: transcoder, skip-transcoder or "
                + "crosscoder");
        return spec;
    }

    public TrainConfig Config(ParseResult parsed) =>
        Preset(parsed).Configure(Basis(parsed), made => Over(parsed, made));

    TrainConfig Basis(ParseResult parsed) => config.Over(parsed, new(), nameof(TrainConfig.BatchRows),
        nameof(TrainConfig.Vectors), nameof(TrainConfig.Seed));

    /// <summary>Returns a config with the values that the command line gives, not yet validated.</summary>
    public TrainConfig Over(ParseResult parsed, TrainConfig made) =>
        FieldEdits.Apply(config.Over(parsed, made), Edits(parsed, "config"));

    /// <summary>Returns the fields of one of the two records that --set names.</summary>
    public IEnumerable<string> SetFields(ParseResult parsed, string record) =>
        Edits(parsed, record).Select(edit => edit.Key);

    /// <summary>Returns the edits of --set for one of the two records.</summary>
    IEnumerable<KeyValuePair<string, JsonNode?>> Edits(ParseResult parsed, string record)
    {
        var edits = parsed.GetValue(set) ?? [];
        foreach (var edit in edits)
            if (!edit.StartsWith("spec.", StringComparison.Ordinal)
                && !edit.StartsWith("config.", StringComparison.Ordinal)
                || !edit.Contains('='))
                throw new SaeException($"--set {edit}: it must read spec.FIELD=JSON or config.FIELD=JSON, such as "
                    + "spec.selection.bandwidth=0.5");
        if (edits.GroupBy(edit => edit[..edit.IndexOf('=')])
            .FirstOrDefault(same => same.Count() > 1) is { } twice)
            throw new SaeException($"--set {twice.Key} is given {twice.Count()} times; give it once");
        return edits.Where(edit => edit.StartsWith(record + ".", StringComparison.Ordinal))
            .Select(edit => KeyValuePair.Create(edit[(record.Length + 1)..edit.IndexOf('=')],
                Value(edit[(edit.IndexOf('=') + 1)..])));
    }

    /// <summary>Parses JSON, or takes a bare word as a string.</summary>
    static JsonNode? Value(string text)
    {
        try { return JsonNode.Parse(text); }
        catch (JsonException) { return JsonValue.Create(text); }
    }

    public static bool Given(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    public static Option<BackendKind> NewBackend(string description) =>
        Options.New("--backend", BackendFactory.ManagedCuda is null ? description
            : $"{description}; or {BackendFactory.Name(BackendKind.ManagedCuda)}", BackendKind.Auto);
}
