using System.Text.Json;
using System.Text.RegularExpressions;

namespace CudaSae.Model;

/// <summary>Settings in the messages of errors. The engine names a setting as C# does, such as LearningRate or
/// "Storage = BFloat16". A front renders the names in its own spelling before it shows a message.</summary>
static partial class SettingSpelling
{
    /// <summary>The spelling of the command line: --learning-rate, or --storage bfloat16.</summary>
    public static string ForCommandLine(string message) => Render(message,
        static name => $"--{JsonNamingPolicy.KebabCaseLower.ConvertName(name)}",
        static (name, flag, value) => $"{flag} {Option(name, value)}");

    /// <summary>The spelling of records, C and Python: learning_rate, or storage = "BFloat16".</summary>
    public static string ForRecords(string message) => Render(message,
        JsonNamingPolicy.SnakeCaseLower.ConvertName,
        static (_, field, value) => $"{field} = {Json(value)}");

    /// <param name="spell">Spells a name.</param>
    /// <param name="pair">Joins a name, its spelling and a value.</param>
    static string Render(string message, Func<string, string> spell, Func<string, string, string, string> pair) =>
        Pattern.Replace(message, found =>
        {
            var (name, value) = (found.Groups["name"].Value, found.Groups["value"]);
            return value.Success ? pair(name, spell(name), value.Value)
                : IsPlainWord(name) ? found.Value : spell(name);
        });

    /// <summary>Names of settings that are not fields of <see cref="TrainConfig"/>.</summary>
    static readonly string[] Others = ["Backend", "Tensor", "HeldOut"];

    // Longer names come first: a name may begin with another one.
    static readonly Regex Pattern = new(
        $@"(?<![\w.])(?<name>{string.Join('|', ConfigSettings.All.Select(setting => setting.Property).Concat(Others)
            .OrderByDescending(name => name.Length))})(?!\w)( = (?<value>'[^']*'|[^\s,;:)]+))?",
        RegexOptions.CultureInvariant);

    /// <summary>A name such as Storage, which alone may be a word of the sentence.</summary>
    static bool IsPlainWord(string name) => name.Skip(1).All(c => char.IsLower(c) || char.IsDigit(c));

    static string Option(string name, string value) => (name, value) switch
    {
        (nameof(TrainConfig.DevicePool), "0") => "off",
        (nameof(TrainConfig.DevicePool), "-1") => "auto",
        _ when Word().IsMatch(value) => Hyphenated(value),
        _ => value,
    };

    static string Json(string value) => value is "True" or "False" ? value.ToLowerInvariant()
        : Word().IsMatch(value) ? $"\"{value}\"" : value;

    /// <summary>A name in lower case with hyphens between its words: lazy-row-adam.</summary>
    public static string Hyphenated(string name) => Boundary().Replace(name, "-").ToLowerInvariant();

    [GeneratedRegex("^[A-Z][A-Za-z0-9]*[a-z0-9]$")]
    private static partial Regex Word();

    [GeneratedRegex("(?<=[a-z0-9])(?=[A-Z])")]
    private static partial Regex Boundary();
}
