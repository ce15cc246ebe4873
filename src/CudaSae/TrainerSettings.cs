using System.Text;
using System.Text.Json.Nodes;
using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Text;

namespace CudaSae;

/// <summary>The settings of a trainer, as one JSON object in snake_case: a preset, the shape, and edits of both
/// records. The preset and the edits have the meaning of --preset and --set in <c>cudasae train</c>.</summary>
sealed record TrainerSettings
{
    const int MaxLength = 1 << 16;      // length of the text, in characters

    // Optional properties have setters. For init-only properties that the text lacks, generated JSON code would use
    // the default of the type rather than the initializer.

    /// <summary>Name of the preset; cudasae presets lists them.</summary>
    public string Preset { get; set; } = SpecDefaults.Preset;

    /// <summary>Input width d.</summary>
    public required int InputWidth { get; init; }

    /// <summary>Number n of latents.</summary>
    public required int Latents { get; init; }

    /// <summary>Active latents per row, for methods that set them.</summary>
    public int K { get; set; } = SpecDefaults.K;

    /// <summary>Edits of the spec, such as <c>{"selection.k": 64, "aux": null}</c> (<see
    /// cref="FieldEdits"/>).</summary>
    public JsonObject? Spec { get; set; }

    /// <summary>Edits of the config, such as <c>{"batch_rows": 256, "vectors": 1000000, "learning_rate":
    /// 0.001}</c>.</summary>
    public JsonObject? Config { get; set; }

    /// <summary>The backend that computes.</summary>
    public BackendKind Backend { get; set; }

    /// <summary>Element type of the rows.</summary>
    public InputType InputType { get; set; }

    /// <summary>Reads the settings from JSON.</summary>
    /// <exception cref="SaeException">The text is not JSON, or a field is unknown, missing or of another
    /// type.</exception>
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

    /// <summary>Returns both records: those of the preset, with latents dead after a sixtieth of the run, to which the
    /// edits are then applied.</summary>
    /// <exception cref="SaeException">A field does not exist or is out of range.</exception>
    public (SaeSpec Spec, TrainConfig Config) Records()
    {
        var preset = Model.Preset.Named(Preset);
        var run = FieldEdits.Apply(new TrainConfig(),
            Edits(Config).Where(edit => edit.Key is "batch_rows" or "vectors" or "seed"));
        var (spec, config) = preset.Make(InputWidth, Latents, K, run, made => FieldEdits.Apply(made, Edits(Config)));
        return (FieldEdits.Apply(spec, Edits(Spec)).Validate(), config);
    }

    static JsonObject Edits(JsonObject? edits) => edits ?? [];

    /// <summary>Creates the trainer.</summary>
    /// <exception cref="SaeException">A field does not exist or is out of range, or the backend is not
    /// available.</exception>
    public SaeTrainer Create()
    {
        var (spec, config) = Records();
        return new(spec, config, Backend, InputType);
    }
}
