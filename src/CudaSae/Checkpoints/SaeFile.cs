using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Data;
using CudaSae.Model;

namespace CudaSae.Checkpoints;

/// <summary>A finished SAE on disk in SAELens 6's layout: cfg.json and sae_weights.safetensors with W_enc [d, n], W_dec [n, d], b_enc [n],
/// b_dec [d], float32. The training scale is folded in, so it takes raw activations. docs/formats.md.</summary>
public static class SaeFile
{
    const string ConfigName = "cfg.json", WeightsName = "sae_weights.safetensors";
    const string SpecKey = "cudasae_spec";
    const string LayoutVersion = "6.18.0";      // readers treat anything below 6 as an older layout

    /// <param name="parameters">Of raw activations: see <see cref="Export"/>.</param>
    /// <param name="about">More for the metadata of cfg.json.</param>
    public static void Save(string folder, SaeSpec spec, SaeParameters parameters, IReadOnlyDictionary<string, string>? about = null)
    {
        int d = spec.InputWidth, n = spec.Latents, D = spec.OutputWidth;
        List<(string, string, long[], long, Action<Stream>)> tensors =
        [
            ("W_enc", "F32", [d, n], 4L * d * n, stream => WriteTransposed(stream, parameters.WEnc)),
            ("W_dec", "F32", [n, D], 4L * D * n, stream => WriteRows(stream, parameters.WDec)),
            ("b_dec", "F32", [D], 4L * D, stream => stream.Write(MemoryMarshal.AsBytes<float>(parameters.BDec))),
        ];
        var threshold = spec.Selection is Selection.BatchTopK ? [.. Enumerable.Repeat(parameters.BatchThreshold, n)] : parameters.Threshold;
        Vector(spec.Selection is Selection.Gated ? "b_gate" : "b_enc", parameters.BEnc);
        Vector("threshold", threshold);
        Vector("b_mag", parameters.BMag);
        Vector("r_mag", parameters.RMag);
        if (parameters.WSkip.Rows > 0) tensors.Add(("W_skip", "F32", [D, d], 4L * d * D, stream => WriteRows(stream, parameters.WSkip)));
        SafetensorsWriter.Write(Path.Combine(folder, WeightsName), tensors);
        AtomicFile.WriteText(Path.Combine(folder, ConfigName), Config(spec, about).ToJsonString(SaeJson.Indented.Options) + "\n");

        void Vector(string name, float[] numbers)
        {
            if (numbers.Length > 0) tensors.Add((name, "F32", [n], 4L * n, stream => stream.Write(MemoryMarshal.AsBytes<float>(numbers))));
        }
    }

    /// <summary>SAELens' name of an architecture; a name of our own where it has none.</summary>
    static string Architecture(SaeSpec spec) => (spec.Transcoder is null ? "" : spec.Transcoder.Skip ? "skip_transcoder_" : "transcoder_") + spec.Selection switch
    {
        Selection.Relu => "standard",
        Selection.JumpRelu or Selection.BatchTopK => "jumprelu",
        Selection.Gated => "gated",
        Selection.TopK => "topk",
        Selection.AbsTopK => "abstopk",
        _ => "groupmax",
    };

    static JsonObject Config(SaeSpec spec, IReadOnlyDictionary<string, string>? about)
    {
        var metadata = new JsonObject { ["sae_lens_version"] = LayoutVersion, ["trained_with"] = "CudaSae" };
        foreach (var (key, value) in about ?? new Dictionary<string, string>()) metadata[key] = value;
        // Scales and norms are folded in, so that a tie no longer holds.
        metadata[SpecKey] = JsonSerializer.SerializeToNode(spec with { Tying = Tying.Untied, DecoderNorm = DecoderNorm.Free }, SaeJson.Default.SaeSpec);
        var config = new JsonObject
        {
            ["d_in"] = spec.InputWidth,
            ["d_sae"] = spec.Latents,
            ["dtype"] = "float32",
            ["device"] = "cpu",
            ["apply_b_dec_to_input"] = spec.PreEncoderBias,
            ["normalize_activations"] = "none",
            ["reshape_activations"] = "none",
            ["metadata"] = metadata,
            ["architecture"] = Architecture(spec),
        };
        if (spec.Selection is Selection.TopK or Selection.AbsTopK or Selection.GroupMax) config["k"] = ActiveOf(spec);
        if (spec.Selection is Selection.TopK) config["rescale_acts_by_decoder_norm"] = false;
        if (spec.Transcoder is { } transcoder) config["d_out"] = transcoder.OutputWidth;
        return config;
    }

    /// <summary>k at inference: of the budget that is evaluated, and after annealing.</summary>
    static int ActiveOf(SaeSpec spec) => spec switch
    {
        { Nested: Nesting.Budgets { Report: > 0 } budgets } => budgets.Report,
        { Selection: Selection.TopK { InitialK: > 0 } top } => top.K,
        _ => spec.Active,
    };

    static void WriteRows(Stream stream, Matrix matrix)
    {
        for (long f = 0; f < matrix.Rows; f++) stream.Write(MemoryMarshal.AsBytes<float>(matrix[f]));
    }

    static void WriteTransposed(Stream stream, Matrix matrix)
    {
        const int Band = 16;    // a cache line of each row at a time
        var columns = new float[Band][];
        for (var c = 0; c < Band; c++) columns[c] = new float[matrix.Rows];
        for (var start = 0; start < matrix.Columns; start += Band)
        {
            var width = Math.Min(Band, matrix.Columns - start);
            for (long f = 0; f < matrix.Rows; f++)
            {
                var row = matrix[f].Slice(start, width);
                for (var c = 0; c < width; c++) columns[c][f] = row[c];
            }
            for (var c = 0; c < width; c++) stream.Write(MemoryMarshal.AsBytes<float>(columns[c]));
        }
    }

    /// <summary>Reads what <see cref="Save"/> wrote, or SAELens for a standard, jumprelu, gated or topk SAE.</summary>
    /// <exception cref="SaeException">A file is missing, malformed, or of another architecture.</exception>
    public static (SaeSpec Spec, SaeParameters Parameters) Load(string folder)
    {
        var spec = ReadConfig(Path.Combine(folder, ConfigName));
        int d = spec.InputWidth, n = spec.Latents, D = spec.OutputWidth;
        using var file = new SafetensorsFile(Path.Combine(folder, WeightsName));
        var enc = file.Require("W_enc", "F32", d, n);
        var parameters = new SaeParameters(spec);
        for (var i = 0; i < d; i++)
        {
            var column = MemoryMarshal.Cast<byte, float>(file.Slice(enc, 4L * i * n, 4 * n));
            for (var f = 0; f < n; f++) parameters.WEnc[f][i] = column[f];
        }
        ReadRows("W_dec", parameters.WDec);
        if (parameters.WSkip.Rows > 0) ReadRows("W_skip", parameters.WSkip);
        Vector(spec.Selection is Selection.Gated ? "b_gate" : "b_enc", parameters.BEnc);
        Vector("b_dec", parameters.BDec);
        Vector("threshold", parameters.Threshold);
        Vector("b_mag", parameters.BMag);
        Vector("r_mag", parameters.RMag);
        if (spec.Selection is Selection.BatchTopK)
        {
            var threshold = new float[n];
            Vector("threshold", threshold);
            parameters.BatchThreshold = threshold[0];
        }
        return (spec, parameters);

        void ReadRows(string name, Matrix into)
        {
            var tensor = file.Require(name, "F32", into.Rows, into.Columns);
            for (var f = 0; f < into.Rows; f++) MemoryMarshal.Cast<byte, float>(file.Slice(tensor, 4L * f * into.Columns, 4 * into.Columns)).CopyTo(into[f]);
        }

        void Vector(string name, float[] into)
        {
            if (into.Length == 0) return;
            MemoryMarshal.Cast<byte, float>(file.Slice(file.Require(name, "F32", into.Length), 0, 4 * into.Length)).CopyTo(into);
        }
    }

    static SaeSpec ReadConfig(string path)
    {
        try
        {
            var config = JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new SaeException($"{path} is not a JSON object");
            if (config["metadata"] is JsonObject metadata && metadata[SpecKey] is { } own)
                return (own.Deserialize(SaeJson.Default.SaeSpec) ?? throw new SaeException($"{path} has an empty {SpecKey}")).Validate();
            if ((bool?)config["rescale_acts_by_decoder_norm"] == true) throw new SaeException($"{path} rescales by decoder norms; fold them first (SAELens does on save_inference_model)");
            var n = Whole("d_sae");
            return new SaeSpec
            {
                InputWidth = Whole("d_in"),
                Latents = n,
                Selection = (string?)config["architecture"] switch
                {
                    "topk" => new Selection.TopK(Whole("k")),
                    "standard" => new Selection.Relu(Math.Min(n, SaeSpec.MaxActive)),
                    "jumprelu" => new Selection.JumpRelu(InitialThreshold: 0, Form: ThresholdForm.Direct, Room: Math.Min(n, SaeSpec.MaxActive)),
                    "gated" => new Selection.Gated(Room: Math.Min(n, SaeSpec.MaxActive)),
                    var other => throw new SaeException($"{path} describes a '{other}' SAE; standard, jumprelu, gated and topk are read"),
                },
                DecoderNorm = DecoderNorm.Free,
                PreEncoderBias = (bool?)config["apply_b_dec_to_input"] != false,
            }.Validate();

            int Whole(string key) => config[key] is JsonValue value && value.TryGetValue(out int whole) ? whole : throw new SaeException($"{path} lacks a whole number {key}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new SaeException($"{path} cannot be read; name a folder that holds {ConfigName} and {WeightsName}", e); }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or NotSupportedException) { throw new SaeException($"{path} is not a usable cfg.json: {e.Message.Split(". ")[0]}", e); }
    }
}
