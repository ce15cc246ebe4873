using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Runs;

/// <summary>Writes the SAE of a run for raw activations: as the files of a single process, or in one piece for each
/// rank.</summary>
/// <param name="limit">The largest size of the encoder and the decoder in one file of several ranks, in bytes.</param>
sealed class FinishedSae(IBackend backend, DataScale scale, long limit)
{
    readonly List<string> notes = [];

    /// <summary>The shares of the ranks if each writes a piece; null if one process writes all latents.</summary>
    readonly ShardPlan? pieces = backend.Shard is { } shard && shard.SavesPieces(limit) ? shard : null;

    /// <inheritdoc cref="Runner.Save"/>
    public IReadOnlyList<string> Save(string folder)
    {
        if (pieces is null)
        {
            using var weights = new ShardWeights(backend);
            SaveWhole(folder, weights.Current());
            if (backend.Config.EmaDecay > 0) SaveWhole(Average(folder), weights.Average());
            return notes;
        }
        using var own = new SaeParameters(OwnLatents.Of(backend.Spec, pieces));
        backend.GetParameters(own);
        Write(folder, own);
        if (backend.Config.EmaDecay <= 0) return notes;
        backend.GetAverage(own);
        Write(Average(folder), own);
        return notes;
    }

    static string Average(string folder) => Path.Combine(folder, "average");

    /// <param name="weights">The weights of all latents; null on ranks that do not write.</param>
    void SaveWhole(string folder, SaeParameters? weights) => RankAgreement.Do(backend.Shard?.Collective, () =>
    {
        if (weights is not null) Write(folder, weights);
    });

    void Write(string folder, SaeParameters weights)
    {
        var (spec, config) = (backend.Spec, backend.Config);
        var own = OwnLatents.Of(spec, pieces);
        long pruned = Export.Finish(own, config, weights, scale);
        if (config.PruneBelow > 0)
        {
            if (pieces is not null) pruned = pieces.Collective.Sum(pruned);
            Note(FormattableString.CurrentCulture(
                $"{pruned} latents of decoder norm below {config.PruneBelow} pruned"));
        }
        foreach (var note in Put(folder, spec, weights)) Note(note);
        if (spec.Selection is not Selection.Gated) return;
        var (jump, same) = Export.AsJumpRelu(own, weights);
        using (same) Put(Path.Combine(folder, "jumprelu"), jump with { Latents = spec.Latents }, same);
    }

    IReadOnlyList<string> Put(string folder, SaeSpec spec, SaeParameters weights) => pieces is null
        ? new SaeModel(spec, weights).Save(folder)
        : SaeLensFormat.WritePieces(folder, new(spec, weights), pieces);

    void Note(string note)
    {
        if (pieces is null or { IsRoot: true }) notes.Add(note);
    }
}
