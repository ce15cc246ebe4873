using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using CudaSae.Model;

namespace CudaSae.Bench.Reference;

/// <summary>The fields of the spec on the page of settings: one table for each record and each kind of record, with the
/// meaning from the documentation of the record.</summary>
static class SpecSection
{
    public static string Text(XmlDocs docs) =>
        string.Join('\n', SpecSettings.Parts.Select(part => Heading(part, docs) + Table(part, docs)));

    static string Heading(SpecPart part, XmlDocs docs) => part.Path.Length == 0 ? ""
        : $"{(part.IsKind ? $"#### `{part.Title}`" : $"### {part.Title}")}\n\n"
            + $"{Markdown.Wrap(Fields(part, docs.Summary(part.Record)))}{(part.Settings.Any() ? "\n" : "")}";

    static string Table(SpecPart part, XmlDocs docs)
    {
        if (!part.Settings.Any()) return "";
        var parameters = docs.Parameters(part.Record);
        return ReferencePages.Table(["Field", "Option", "Range", "Unit", "Default", "Meaning"],
            part.Settings.Select(setting => (string[])
            [
                $"`{part.PathOf(setting)}`", setting.HasOption ? $"`{setting.Flag}`" : "",
                SettingsPage.Range(setting), setting.Unit, Default(part.Record, setting),
                Fields(part, parameters.GetValueOrDefault(setting.Property)
                    ?? docs.Summary(part.Record.GetProperty(setting.Property)!)),
            ]));
    }

    /// <summary>Replaces the names of a part's properties in a text by the names of train.json.</summary>
    static string Fields(SpecPart part, string text) => part.Settings.Aggregate(text,
        (changed, setting) => changed.Replace($"`{setting.Property}`", $"`{setting.Field}`"));

    /// <summary>The default of a parameter of the record's constructor, or the value of a property after it.</summary>
    static string Default(Type record, Setting setting)
    {
        var parameter = record.GetConstructors().SelectMany(made => made.GetParameters())
            .FirstOrDefault(parameter => parameter.Name == setting.Property);
        if (parameter is not null) return parameter.HasDefaultValue ? Value(parameter.DefaultValue) : "required";
        var property = record.GetProperty(setting.Property)!;
        return property.IsDefined(typeof(RequiredMemberAttribute)) ? "required"
            : Value(property.GetValue(record == typeof(SparsityPenalty) ? new SparsityPenalty.L1 { Coefficient = 0 }
                : RecordDefaults.Of(record)));
    }

    static string Value(object? value) =>
        $"`{(value is Enum ? value.ToString()! : Markdown.Exponents(JsonSerializer.Serialize(value)))}`";
}
