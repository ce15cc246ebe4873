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
    const string LayoutVersion = "6.18.0";      // readers treat anything below 6 as an older layout

    /// <param name="inputScale">s of x = s · raw: W_enc · s, W_dec / s, b_dec / s; b_enc stays.</param>
    /// <param name="about">More for the metadata of cfg.json.</param>
    public static void Save(string folder, SaeSpec spec, SaeParameters parameters, double inputScale, IReadOnlyDictionary<string, string>? about = null)
    {
        int d = spec.InputWidth, n = spec.Latents;
        var (up, down) = ((float)inputScale, (float)(1 / inputScale));
        SafetensorsWriter.Write(Path.Combine(folder, WeightsName),
        [
            ("W_enc", "F32", [d, n], 4L * d * n, stream => WriteTransposed(stream, parameters.WEnc, up)),
            ("W_dec", "F32", [n, d], 4L * d * n, stream =>
            {
                var row = new float[d];
                for (var f = 0; f < n; f++) WriteScaled(stream, parameters.WDec[f], row, down);
            }),
            ("b_enc", "F32", [n], 4L * n, stream => stream.Write(MemoryMarshal.AsBytes<float>(parameters.BEnc))),
            ("b_dec", "F32", [d], 4L * d, stream => WriteScaled(stream, parameters.BDec, new float[d], down)),
        ]);
        AtomicFile.WriteText(Path.Combine(folder, ConfigName), Config(spec, about).ToJsonString(SaeJson.Indented.Options) + "\n");
    }

    static JsonObject Config(SaeSpec spec, IReadOnlyDictionary<string, string>? about)
    {
        var metadata = new JsonObject { ["sae_lens_version"] = LayoutVersion, ["trained_with"] = "CudaSae" };
        foreach (var (key, value) in about ?? new Dictionary<string, string>()) metadata[key] = value;
        return new()
        {
            ["d_in"] = spec.InputWidth,
            ["d_sae"] = spec.Latents,
            ["k"] = spec.Active,
            ["rescale_acts_by_decoder_norm"] = false,
            ["dtype"] = "float32",
            ["device"] = "cpu",
            ["apply_b_dec_to_input"] = true,
            ["normalize_activations"] = "none",
            ["reshape_activations"] = "none",
            ["metadata"] = metadata,
            ["architecture"] = "topk",
        };
    }

    static void WriteScaled(Stream stream, ReadOnlySpan<float> values, float[] buffer, float scale)
    {
        for (var i = 0; i < values.Length; i++) buffer[i] = values[i] * scale;
        stream.Write(MemoryMarshal.AsBytes<float>(buffer));
    }

    static void WriteTransposed(Stream stream, Matrix matrix, float scale)
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
                for (var c = 0; c < width; c++) columns[c][f] = row[c] * scale;
            }
            for (var c = 0; c < width; c++) stream.Write(MemoryMarshal.AsBytes<float>(columns[c]));
        }
    }

    /// <summary>Reads what <see cref="Save"/> or SAELens wrote for a TopK SAE.</summary>
    /// <exception cref="SaeException">A file is missing, malformed, or of another architecture.</exception>
    public static (SaeSpec Spec, SaeParameters Parameters) Load(string folder)
    {
        var spec = ReadConfig(Path.Combine(folder, ConfigName));
        int d = spec.InputWidth, n = spec.Latents;
        using var file = new SafetensorsFile(Path.Combine(folder, WeightsName));
        SafeTensor enc = file.Require("W_enc", "F32", d, n), dec = file.Require("W_dec", "F32", n, d),
            encBias = file.Require("b_enc", "F32", n), decBias = file.Require("b_dec", "F32", d);
        var parameters = new SaeParameters(spec);
        for (var i = 0; i < d; i++)
        {
            var column = MemoryMarshal.Cast<byte, float>(file.Slice(enc, 4L * i * n, 4 * n));
            for (var f = 0; f < n; f++) parameters.WEnc[f][i] = column[f];
        }
        for (var f = 0; f < n; f++) MemoryMarshal.Cast<byte, float>(file.Slice(dec, 4L * f * d, 4 * d)).CopyTo(parameters.WDec[f]);
        MemoryMarshal.Cast<byte, float>(file.Slice(encBias, 0, 4 * n)).CopyTo(parameters.BEnc);
        MemoryMarshal.Cast<byte, float>(file.Slice(decBias, 0, 4 * d)).CopyTo(parameters.BDec);
        return (spec, parameters);
    }

    static SaeSpec ReadConfig(string path)
    {
        try
        {
            var config = JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new SaeException($"{path} is not a JSON object");
            var architecture = (string?)config["architecture"];
            if (architecture != "topk") throw new SaeException($"{path} describes a '{architecture}' SAE; topk is read today");
            if ((bool?)config["apply_b_dec_to_input"] == false) throw new SaeException($"{path} does not subtract b_dec from the input; that is not supported yet");
            if ((bool?)config["rescale_acts_by_decoder_norm"] == true) throw new SaeException($"{path} rescales by decoder norms; fold them first (SAELens does on save_inference_model)");
            return new SaeSpec
            {
                InputWidth = Whole("d_in"),
                Latents = Whole("d_sae"),
                Selection = new Selection.TopK(Whole("k")),
                DecoderNorm = DecoderNorm.Free,
            }.Validate();

            int Whole(string key) => config[key] is JsonValue value && value.TryGetValue(out int whole) ? whole : throw new SaeException($"{path} lacks a whole number {key}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new SaeException($"{path} cannot be read; name a folder that holds {ConfigName} and {WeightsName}", e); }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException) { throw new SaeException($"{path} is not a usable cfg.json: {e.Message.Split(". ")[0]}", e); }
    }
}
