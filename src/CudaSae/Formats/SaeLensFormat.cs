using CudaSae.Distributed;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>The format of SAELens 6 (decoderesearch/SAELens): cfg.json, sae_weights.safetensors with W_enc [d, n],
/// W_dec [n, d_out], b_enc [n], b_dec [d_out], and sparsity.safetensors. Training checkpoints and the flat
/// configurations before version 6 are read too. Architectures that SAELens does not name have names of this project,
/// and metadata.cudasae_spec holds the whole spec. Several ranks may write the weights in pieces, which SAELens does
/// not read. If a folder holds an index of pieces and sae_weights.safetensors, the index counts.
/// docs/reference/formats.md describes the details.</summary>
sealed class SaeLensFormat : ISaeFormat
{
    public const string FormatName = "saelens";
    const string ConfigName = "cfg.json", WeightsName = "sae_weights.safetensors",
        SparsityName = "sparsity.safetensors", ScalerName = "activation_scaler.json";
    static readonly string[] FineTuned = ["scaling_factor", "finetuning_scaling_factor"];
    const string BatchThreshold = "topk_threshold", LogThreshold = "log_threshold";

    public string Name => FormatName;
    public string Layout => $"a folder with {ConfigName} and {WeightsName}, or with {PieceFiles.IndexName}";
    public bool Recognizes(string path) => File.Exists(Path.Combine(path, ConfigName))
        && (File.Exists(Path.Combine(path, WeightsName)) || PieceFiles.HasIndex(path));

    /// <summary>Returns whether a folder holds an SAE that was written at a time or later.</summary>
    public static bool IsWrittenSince(string path, DateTime time)
    {
        var weights = PieceFiles.HasIndex(path) ? PieceFiles.IndexName : WeightsName;
        return new[] { weights, ConfigName }.Select(name => Path.Combine(path, name))
            .All(file => File.Exists(file) && File.GetLastWriteTimeUtc(file) >= time) && PieceFiles.AreThere(path);
    }

    static WeightNames Names(Selection selection) =>
        new(new("W_enc", Transposed: true), new("W_dec"), selection is Selection.Gated ? "b_gate" : "b_enc", "b_dec");

    public IReadOnlyList<string> Write(string path, SaeModel model)
    {
        using var draft = DraftOf(model);
        SafetensorsWriter.Write(Path.Combine(path, WeightsName), Tensors(draft));
        PieceFiles.Remove(path);        // the file counts from here on, and not an older index
        WriteRest(path, model);
        return draft.Notes;
    }

    /// <summary>Writes an SAE in pieces, one for each rank. All ranks call it.</summary>
    /// <param name="own">The spec of all latents, and the weights of the rank's own latents.</param>
    /// <returns>The notes of <see cref="Write"/>; none on ranks other than 0.</returns>
    /// <exception cref="SaeException">A rank cannot write its files. All ranks throw, and the folder holds the SAE that
    /// it held, or the new one.</exception>
    public static IReadOnlyList<string> WritePieces(string path, SaeModel own, ShardPlan shard)
    {
        using var draft = DraftOf(own);
        SaePieces.Write(path, Tensors(draft), shard);
        RankAgreement.OnRoot(shard.Collective, () =>
        {
            AtomicFile.Delete(Path.Combine(path, WeightsName));     // of an older SAE; the index counts
            WriteRest(path, own);
        });
        return shard.IsRoot ? draft.Notes : [];
    }

    static List<TensorToWrite> Tensors(Draft draft) => Names(draft.Spec.Selection).Tensors(draft);

    /// <summary>Returns the SAE as it is written.</summary>
    static Draft DraftOf(SaeModel model)
    {
        var draft = new Draft(model, FormatName);
        if (model.Spec.Transcoder is not null && model.Normalization != InputNormalization.None)
            throw draft.Refusal("its transcoders do not undo a normalization of the rows");
        var architecture = SaeLensConfig.Architecture(model.Spec);
        if (!SaeLensConfig.IsKnown(architecture))
            draft.Note($"SAELens has no {Describe.Selection(model.Spec)}: cfg.json names it '{architecture}', which "
                + "only this project reads");
        if (model.Spec.Sites is { Length: > 1 } sites)
            draft.Note($"SAELens has no crosscoders: the {sites.Length} sites are only in metadata.cudasae_spec");
        if (model.Spec.Selection is Selection.BatchTopK) draft.AsJumpRelu();
        return draft;
    }

    /// <summary>Writes the files beside the weights.</summary>
    static void WriteRest(string path, SaeModel model)
    {
        var sparsity = Path.Combine(path, SparsityName);
        if (model.LogFiringFrequency is { } frequency)
            SafetensorsWriter.Write(sparsity, [TensorToWrite.Of("sparsity", frequency)]);
        else AtomicFile.Delete(sparsity);       // may belong to an SAE that is replaced
        ConfigFile.Write(Path.Combine(path, ConfigName), SaeLensConfig.Write(model));
    }

    public SaeModel Read(string path)
    {
        var config = SaeLensConfig.Read(Path.Combine(path, ConfigName), () => WidthsIn(path));
        using var file = Weights(path);
        var spec = config.OwnSpec is { } own && Uniform(file, own) ? own : config.Spec;
        var names = Names(spec.Selection) with
        {
            Beside = [.. FineTuned, .. spec.Selection is Selection.BatchTopK ? ["threshold"] : Array.Empty<string>()]
        };
        if (file.Tensors.ContainsKey(LogThreshold))
            names = names with { Threshold = LogThreshold, LogThreshold = true };
        if (file.Tensors.ContainsKey(BatchThreshold))
            names = names with { Threshold = "", Beside = [.. names.Beside, BatchThreshold, ""] };
        var p = names.Read(file, spec);
        try
        {
            if (spec.Selection is Selection.BatchTopK) p.BatchThreshold = file.Vector("threshold", spec.Latents)[0];
            if (file.Tensors.ContainsKey(BatchThreshold))
                Array.Fill(p.Threshold, MathF.Max(0, (float)file.Scalar(BatchThreshold)));
            List<string> notes = [.. config.Notes];
            var normalization = Fold(path, config, file, p, notes);
            return new(spec, p)
            {
                Normalization = normalization, LogFiringFrequency = Sparsity(path, spec.Latents), About = config.About,
                Notes = notes
            };
        }
        catch
        {
            p.Dispose();
            throw;
        }
    }

    /// <summary>Returns d and n of the weights, for a configuration that lacks them; null if the file has no
    /// matrices.</summary>
    static (int Input, int Latents)? WidthsIn(string path)
    {
        using var file = Weights(path);
        return file.Tensors.ContainsKey("W_enc") && file.Tensors.ContainsKey("W_dec")
            && Names(new Selection.Relu()).Widths(file) is var (d, n, _) ? (d, n) : null;
    }

    static WeightFile Weights(string path) => new(PieceFiles.HasIndex(path)
        ? new PiecedWeights(PieceFiles.IndexPath(path)) : new SafetensorsFile(Path.Combine(path, WeightsName)));

    /// <summary>Returns whether the thresholds allow the spec. BatchTopK is stored as JumpReLU and is read as BatchTopK
    /// only if all thresholds are equal.</summary>
    static bool Uniform(TensorFile file, SaeSpec own) =>
        own.Selection is not Selection.BatchTopK
            || file.Vector("threshold", own.Latents) is var threshold
                && threshold.All(t => t == threshold[0] && t >= 0);

    /// <summary>Folds scales as SAELens does when it saves for inference: the fine-tuned scale into W_dec, decoder
    /// norms into the encoder, and the activation scale into all weights.</summary>
    static InputNormalization Fold(
        string path, SaeLensConfig config, TensorFile file, SaeParameters p, List<string> notes)
    {
        if (FineTuned.FirstOrDefault(file.Tensors.ContainsKey) is { } name
            && file.Vector(name, p.WDec.Rows) is var factors && factors.Any(f => MathF.Abs(f - 1) > 1e-5f))
        {
            if (!config.FineTuned) throw config.Bad($"it does not mention the {name} of the weights");
            Folding.DecoderRows(p, factors);
            notes.Add("scaling_factor of fine-tuning is folded into W_dec");
        }
        if (config.RescalesByDecoderNorm)
        {
            Folding.ReadNorms(p);
            notes.Add("rescale_acts_by_decoder_norm: decoder norms are folded into W_enc and b_enc");
        }
        if (config.Normalization is { } normalization) return normalization;
        Folding.ReadScales(p, ActivationScale(path, config), ActivationScale(path, config));
        notes.Add($"the activation scale of {ScalerName} is folded into the weights");
        return InputNormalization.None;
    }

    /// <summary>Returns the scale that a training checkpoint stores beside its weights.</summary>
    static double ActivationScale(string path, SaeLensConfig config)
    {
        var scaler = Path.Combine(path, ScalerName);
        const string Cure = "fold it into the weights first (SAELens does on save_inference_model)";
        if (!File.Exists(scaler))
            throw config.Bad($"it normalizes activations by '{config.NormalizationName}', whose scale is not in the "
                + $"folder; {Cure}");
        var fields = ConfigFile.Read(scaler);
        if (fields.Flag("has_whitening") == true || config.NormalizationName != "expected_average_only_in")
            throw fields.Bad($"activations are whitened, which is not read; {Cure}");
        return fields.Number("scaling_factor") is { } scale and > 0 ? scale
            : throw fields.Bad("its scaling_factor is not a number above 0");
    }

    static float[]? Sparsity(string path, int latents)
    {
        var name = Path.Combine(path, SparsityName);
        if (!File.Exists(name)) return null;
        using var file = new SafetensorsFile(name);
        return file.Vector("sparsity", latents);
    }
}
