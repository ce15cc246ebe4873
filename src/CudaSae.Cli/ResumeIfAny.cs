using System.CommandLine;
using System.Text.Json.Nodes;
using CudaSae.Backends;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Runs;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>The option train --resume-if-any: one command line begins a run in the folder --out, and resumes it when it
/// is repeated. Values of the line that equal those of the run are accepted. Others are applied or refused as beside
/// --resume.</summary>
sealed class ResumeIfAny
{
    // The process of the last attempt may still be ending.
    static readonly TimeSpan AfterAttempt = TimeSpan.FromSeconds(10);

    readonly ParseResult parsed;
    readonly Settings settings;
    readonly string folder;
    readonly RunRecord record;

    ResumeIfAny(ParseResult parsed, Settings settings, string folder) =>
        (this.parsed, this.settings, this.folder, record) = (parsed, settings, folder, RunRecord.Load(folder));

    public static Option<bool> Option() => Options.Flag("--resume-if-any",
        "resume the run in the folder --out if there is one, otherwise start it: the same command line can be repeated "
            + "until the run is complete");

    /// <summary>Returns the run in a folder; null if there is none. All ranks call it.</summary>
    /// <param name="folder">The value of --out.</param>
    /// <param name="resume">The value of --resume.</param>
    /// <exception cref="SaeException">The command line does not name one folder.</exception>
    public static ResumeIfAny? Find(ParseResult parsed, Settings settings, string? folder, string? resume,
        RunRanks ranks)
    {
        if (resume is not null)
            throw new SaeException("--resume-if-any and --resume exclude each other; leave one of them out");
        if (folder is null)
            throw new SaeException("--resume-if-any needs the folder of the run; name it with --out");
        return ranks.RootFinds(() =>
        {
            RunFolder.RequireFree(folder, AfterAttempt);        // it may still write the record of a run
            return File.Exists(Path.Combine(folder, RunRecord.FileName));
        }) ? new(parsed, settings, folder) : null;
    }

    /// <summary>Returns the run, which is resumed; null after a message if it is complete.</summary>
    /// <param name="named">The rows that the command line names.</param>
    /// <exception cref="SaeException">A setting that cannot change differs from that of the run.</exception>
    public Session? Open(RunRanks ranks, DataNames named)
    {
        var moved = Moved(named);
        RequirePreset();
        var config = settings.Over(parsed, record.Config).Validate();
        var spec = settings.OfSpec.Any(option => Settings.Given(parsed, option))
            || settings.SetFields(parsed, "spec").Any() ? SpecOfLine() : record.Spec;
        ResumeRules.RequireSame(Path.Combine(folder, RunRecord.FileName), (record.Spec, record.Config),
            (spec, config));
        var fields = Changed(SaeRecords.Write(record.Config).AsObject(), SaeRecords.Write(config).AsObject());
        if (moved is null && fields.Length == 0 && ranks.RootFinds(() => IsComplete(config)))
        {
            Console.WriteLine($"{folder} is complete: step {config.Steps} of {config.Steps}");
            return null;
        }
        return Session.Resume(folder, ranks, Backend(), old => settings.Over(parsed, old).Validate(), fields, moved,
            AfterAttempt);
    }

    /// <summary>Returns the rows that the command line names, if they are not those of the record.</summary>
    MovedData? Moved(DataNames named)
    {
        if (named.Tensor is not null && named.Tensor != record.Tensor) ResumeOptions.Refuse("--tensor");
        var full = named.Full();
        return MovedData.Of(full.Data.AsSpan().SequenceEqual(record.Data) ? [] : named.Data,
            full.Beside.AsSpan().SequenceEqual(record.Beside) ? [] : named.Beside,
            full.HeldOut == record.HeldOut ? null : named.HeldOut);
    }

    void RequirePreset()
    {
        if (settings.GivenPreset(parsed) is { } preset && preset.Name != record.Preset)
            ResumeOptions.Refuse("--preset");
    }

    /// <summary>Returns the spec that the command line makes. By default, the rows without firing after which a
    /// latent is dead are a share of the run. The length of the run may have changed, so its number is kept.</summary>
    SaeSpec SpecOfLine()
    {
        if (record.Preset is null) ResumeOptions.Refuse("a setting of the SAE");
        int[] widths = record.Spec.Sites is { } sites ? [.. sites]
            : record.Spec.Transcoder is { } transcoder ? [record.Spec.InputWidth, transcoder.OutputWidth]
            : [record.Spec.InputWidth];
        var (spec, _) = settings.Records(parsed, Preset.Named(record.Preset!), widths);
        return settings.GivesDeadAfter(parsed) ? spec : DeadAfter.Like(spec, record.Spec);
    }

    static string[] Changed(JsonObject old, JsonObject now) =>
        [.. now.Where(pair => !JsonNode.DeepEquals(pair.Value, old[pair.Key])).Select(pair => pair.Key)];

    BackendKind? Backend() => Settings.Given(parsed, settings.Backend)
        && parsed.GetValue(settings.Backend) is var kind and not BackendKind.Auto && $"{kind}" != record.Backend
        ? kind : null;

    /// <summary>Returns whether the last step is saved, and after it the SAE.</summary>
    bool IsComplete(TrainConfig config)
    {
        if (CheckpointFolder.Steps(folder) is not [.., var newest]
            || CheckpointFolder.StepOf(newest) != CheckpointFolder.NameOf(config.Steps))
            return false;
        var saved = File.GetLastWriteTimeUtc(newest);
        string[] folders = config.EmaDecay > 0 ? [folder, Path.Combine(folder, "average")] : [folder];
        if (record.Spec.Selection is Selection.Gated)
            folders = [.. folders.SelectMany(place => new[] { place, Path.Combine(place, "jumprelu") })];
        return folders.All(place => SaeLensFormat.IsWrittenSince(place, saved));
    }
}
