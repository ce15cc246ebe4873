using System.Text;
using System.Text.Json.Nodes;
using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Text;

namespace CudaSae;

/// <summary>What a trainer is made from, as one JSON object in snake_case: a preset, the shape, and edits of both
/// records. The preset and the edits mean what <c>cudasae train</c>
/// makes of --preset and --set.</summary>
sealed record TrainerSettings
{
    const int MaxLength = 1 << 16;      // of the text, in characters

    // Setters, because generated JSON code gives fields that are absent their type's default, not their initializer,
    // where they are init-only.

    /// <summary>Published recipe; cudasae presets lists them.</summary>
    public string Preset { get; set; } = "topk";

    /// <summary>d.</summary>
    public required int InputWidth { get; init; }

    /// <summary>n.</summary>
    public required int Latents { get; init; }

    /// <summary>Active latents a row, where the method sets them.</summary>
    public int K { get; set; } = 32;

    /// <summary>Edits of the spec, such as <c>{"selection.k": 64, "aux": null}</c>: see
    /// <see cref="FieldEdits"/>.</summary>
    public JsonObject? Spec { get; set; }

    /// <summary>Edits of the config, such as <c>{"batch_rows": 256, "vectors": 1000000, "learning_rate":
    /// 0.001}</c>.</summary>
    public JsonObject? Config { get; set; }

    public BackendKind Backend { get; set; }

    /// <summary>Element type of the rows that steps are given.</summary>
    public InputType InputType { get; set; }

    /// <exception cref="SaeException">It is not JSON, or a field is unknown, missing or of another type.</exception>
    public static TrainerSettings Parse(string json)
    {
        if (json.Length > MaxLength)
            throw new SaeException($"the trainer's settings have {json.Length} characters; {MaxLength} are possible");
        var settings = JsonRecord.Read(Encoding.UTF8.GetBytes(json), SettingsJson.Compact.TrainerSettings,
            static (why, e) =>
                new($"the trainer's settings: {why}; fields are preset, input_width, latents, k, spec, config, "
                + $"backend and input_type", e));
        try
        {
            ConfigFile.Decode(settings.Spec);
            ConfigFile.Decode(settings.Config);
            return settings;
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            throw new SaeException($"the trainer's settings hold text that is not UTF-8: {e.Message.Split(". ")[0]}",
                e);
        }
    }

    /// <summary>Both records: the preset's, with latents dead after a sixtieth of the run, then the edits.</summary>
    /// <exception cref="SaeException">A field does not exist or is out of range.</exception>
    public (SaeSpec Spec, TrainConfig Config) Records()
    {
        var preset = Model.Preset.Named(Preset);
        var run = FieldEdits.Apply(new TrainConfig(),
            Edits(Config).Where(edit => edit.Key is "batch_rows" or "vectors" or "seed"));
        var (spec, config) = preset.Make(InputWidth, Latents, K, run, made => FieldEdits.Apply(made, Edits(Config)));
        return (FieldEdits.Apply(spec, Edits(Spec)).Validate(), config);
    }

    static IEnumerable<KeyValuePair<string, JsonNode?>> Edits(JsonObject? edits) => edits ?? [];

    /// <exception cref="SaeException">As <see cref="Records"/>, or the backend is not here.</exception>
    public SaeTrainer Create()
    {
        var (spec, config) = Records();
        return new(spec, config, Backend, InputType);
    }
}
