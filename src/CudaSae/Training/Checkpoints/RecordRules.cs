using CudaSae.Backends;
using CudaSae.Model;
using CudaSae.Text;

namespace CudaSae.Training.Checkpoints;

/// <summary>Checks the names and numbers in records, besides those of specs and configs. Messages name a field as the
/// record does.</summary>
static class RecordRules
{
    /// <summary>Returns the current spelling of a backend's name.</summary>
    /// <exception cref="SaeException">There is no such backend.</exception>
    public static string Backend(string name) => EnumNames.Read(typeof(BackendKind), name)?.ToString()
        ?? throw Bad("backend", $"\"{name}\"", EnumNames.Forms(typeof(BackendKind))
            + Names.Hint(name, Enum.GetNames<BackendKind>()));

    /// <summary>Checks the name of a preset; null is valid.</summary>
    /// <exception cref="SaeException">There is no such preset.</exception>
    public static void Preset(string? name)
    {
        if (name is not null) Model.Preset.Named(name);
    }

    /// <summary>Checks that a spec and a config are valid and can be trained together.</summary>
    /// <exception cref="SaeException">A field is out of range, or two fields exclude each other.</exception>
    public static void Trainable(SaeSpec spec, TrainConfig config)
    {
        spec.Validate();
        SpecRules.Check(spec, config.Validate());
    }

    /// <summary>Refuses a field whose value is not good.</summary>
    /// <param name="form">The values that are possible, for the message.</param>
    /// <exception cref="SaeException">The value is not good.</exception>
    public static void Require(bool good, string field, object? value, string form)
    {
        if (!good) throw Bad(field, FormattableString.Invariant($"{value ?? "null"}"), form);
    }

    static SaeException Bad(string field, string value, string form) => new($"{field} = {value}: it must be {form}");

    /// <summary>Runs the check of a record; an error names its file.</summary>
    public static void In(string file, Action check)
    {
        try { check(); }
        catch (SaeException e) { throw new SaeException($"{file}: {SettingSpelling.ForRecords(e.Message)}", e); }
    }
}
