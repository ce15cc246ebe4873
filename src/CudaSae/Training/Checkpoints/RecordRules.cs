using CudaSae.Backends;
using CudaSae.Model;
using CudaSae.Text;

namespace CudaSae.Training.Checkpoints;

/// <summary>Names and ranges of what records hold beside specs and configs. A field is named as its file names
/// it.</summary>
static class RecordRules
{
    /// <summary>The backend's name as it is written now.</summary>
    /// <exception cref="SaeException">There is no such backend.</exception>
    public static string Backend(string name) => EnumNames.Read(typeof(BackendKind), name)?.ToString()
        ?? throw Bad("backend", $"\"{name}\"", EnumNames.Forms(typeof(BackendKind))
            + Names.Hint(name, Enum.GetNames<BackendKind>()));

    /// <exception cref="SaeException">There is no such preset.</exception>
    public static void Preset(string? name)
    {
        if (name is not null) Model.Preset.Named(name);
    }

    /// <summary>An architecture and a run's numbers that can be trained together.</summary>
    public static void Trainable(SaeSpec spec, TrainConfig config)
    {
        spec.Validate();
        SpecRules.Check(spec, config.Validate());
    }

    public static void Require(bool good, string field, object? value, string form)
    {
        if (!good) throw Bad(field, FormattableString.Invariant($"{value ?? "null"}"), form);
    }

    static SaeException Bad(string field, string value, string form) => new($"{field} = {value}: it must be {form}");

    /// <summary>Checks a record that was read. An error names its file.</summary>
    public static void In(string file, Action check)
    {
        try { check(); }
        catch (SaeException e) { throw new SaeException($"{file}: {SettingSpelling.ForRecords(e.Message)}", e); }
    }
}
