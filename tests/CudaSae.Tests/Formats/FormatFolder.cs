using System.Text.Json.Nodes;
using static CudaSae.Testing.Problems.FormatModels;

namespace CudaSae.Tests;

/// <summary>Writes and changes the folder of an SAE, for the tests that read other projects' formats.</summary>
static class FormatFolder
{
    public const string Weights = "sae_weights.safetensors";

    /// <summary>Writes a SAELens folder of a random SAE with the given cfg.json and without this project's
    /// spec.</summary>
    public static SaeModel SaeLens(TemporaryFolder folder, string selection, Action<JsonObject>? edit = null,
        bool centres = true)
    {
        var sae = FormatModels.Model(Spec(selection, centres: centres));
        sae.Save(folder["sae"]);
        Edit(folder, "cfg.json", fields =>
        {
            ((JsonObject)fields["metadata"]!).Remove("cudasae_spec");
            edit?.Invoke(fields);
        });
        return sae;
    }

    public static void Edit(TemporaryFolder folder, string name, Action<JsonObject> edit)
    {
        var path = Path.Combine(folder["sae"], name);
        var fields = (JsonObject)JsonNode.Parse(File.ReadAllText(path))!;
        edit(fields);
        File.WriteAllText(path, fields.ToJsonString());
    }

    /// <summary>Writes the weights again, with some of them replaced.</summary>
    public static void Rewrite(TemporaryFolder folder, SaeModel sae, string[] without, params TensorToWrite[] more)
    {
        var p = sae.Parameters;
        TensorToWrite[] all = [TensorToWrite.Transposed("W_enc", p.WEnc), TensorToWrite.Of("W_dec", p.WDec),
            TensorToWrite.Of("b_enc", p.BEnc), TensorToWrite.Of("b_dec", p.BDec),
            TensorToWrite.Of("threshold", p.Threshold)];
        SafetensorsWriter.Write(Path.Combine(folder["sae"], Weights),
            [.. all.Where(t => t.Bytes > 0 && !without.Contains(t.Name)), .. more]);
    }

    public static TensorToWrite Scalar(string name, double value) =>
        new(name, "F64", [], stream => stream.Write(BitConverter.GetBytes(value)));

    public static SaeModel Load(TemporaryFolder folder) => SaeModel.Load(folder["sae"]);
}
