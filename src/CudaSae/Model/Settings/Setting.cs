using System.Text.Json;

namespace CudaSae.Model;

/// <summary>One field of <see cref="TrainConfig"/>: its names, meaning, unit, range and resume rule. Options of the
/// command line, validation, resume rules and the reference page are made from it.</summary>
/// <param name="property">Name of the property.</param>
/// <param name="help">Meaning, as the help of an option states it.</param>
abstract class Setting(string property, string help)
{
    /// <summary>The name in C#.</summary>
    public string Property => property;

    /// <summary>The name in train.json, C and Python, in snake_case.</summary>
    public string Field { get; } = JsonNamingPolicy.SnakeCaseLower.ConvertName(property);

    /// <summary>The name of the option.</summary>
    public string Flag { get; } = $"--{JsonNamingPolicy.KebabCaseLower.ConvertName(property)}";

    public string Help => help;

    /// <summary>Unit of the value; empty for a pure number, a choice or a truth value.</summary>
    public string Unit { get; init; } = "";

    /// <summary>Whether a command has an option for it. Every setting can be set by --set.</summary>
    public bool HasOption { get; init; } = true;

    /// <summary>Whether it may change when a run is resumed.</summary>
    public required ResumeRule Resume { get; init; }

    /// <summary>The values that it takes, in words.</summary>
    public abstract string Range { get; }

    /// <summary>Refuses a value out of range.</summary>
    /// <exception cref="SaeException">Names the setting, its value and its range.</exception>
    public abstract void Check(TrainConfig config);

    public abstract TResult Accept<TResult>(ISettingVisitor<TResult> visitor);

    /// <summary>Makes the error for a value out of range.</summary>
    public static SaeException OutOfRange(string property, object? value, string range) =>
        new(FormattableString.Invariant($"{property} = {value ?? "null"} is out of range: it must be {range}"));
}

/// <summary>Work that depends on the type of a setting's value.</summary>
interface ISettingVisitor<out TResult>
{
    TResult Visit<T>(Setting<T> setting);
}

/// <summary>A setting of one type.</summary>
/// <param name="get">Reads it.</param>
/// <param name="with">The same config with another value.</param>
sealed class Setting<T>(string property, Func<TrainConfig, T> get, Func<TrainConfig, T, TrainConfig> with, string help)
    : Setting(property, help)
{
    public T Get(TrainConfig config) => get(config);

    public TrainConfig With(TrainConfig config, T value) => with(config, value);

    /// <summary>The range of a number; null where every value of the type is taken.</summary>
    public SettingRange<T>? Values { get; init; }

    public override string Range => Values?.Words ?? (typeof(T).IsEnum ? Text.EnumNames.Forms(typeof(T))
        : typeof(T) == typeof(bool) ? "true or false"
        : typeof(T) == typeof(ulong) ? "a whole number, 0 or more" : "null, or an object");

    public override void Check(TrainConfig config)
    {
        var value = get(config);
        if (Values is { } range ? !range.Contains(value) : value is Enum choice && !IsDefined(choice))
            throw OutOfRange(Property, value, Range);
    }

    static bool IsDefined(Enum value) => Enum.IsDefined(typeof(T), value);

    public override TResult Accept<TResult>(ISettingVisitor<TResult> visitor) => visitor.Visit(this);
}
