using System.Text.Json;

namespace CudaSae.Model;

/// <summary>One field of a record of settings: its names, meaning, unit and range. Options of the command line,
/// validation and the reference page are made from it.</summary>
/// <param name="property">Name of the property.</param>
/// <param name="help">Meaning, as the help of an option states it.</param>
abstract class Setting(string property, string help)
{
    /// <summary>The name in C#.</summary>
    public string Property => property;

    /// <summary>The name in train.json, C and Python, in snake_case.</summary>
    public string Field { get; } = JsonNamingPolicy.SnakeCaseLower.ConvertName(property);

    /// <summary>The name of the option, without hyphens before it.</summary>
    public string Option { get; init; } = JsonNamingPolicy.KebabCaseLower.ConvertName(property);

    /// <summary>The option as it is typed.</summary>
    public string Flag => $"--{Option}";

    public string Help => help;

    /// <summary>Unit of the value; empty for a pure number, a choice or a truth value.</summary>
    public string Unit { get; init; } = "";

    /// <summary>Whether a command has an option for it. Every setting can be set by --set.</summary>
    public bool HasOption { get; init; } = true;

    /// <summary>The values that it takes, in words.</summary>
    public abstract string Range { get; }
}
