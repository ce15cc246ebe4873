using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using CudaSae.Bench.Reference;
using CudaSae.Cli;

namespace CudaSae.Tests;

/// <summary>The table of the spec's settings describes every field of SaeSpec and of the records in it.</summary>
public class SpecSettingsTests
{
    /// <summary>A part of the table, one of its settings, and a spec with that part.</summary>
    static readonly (SpecPart Part, Setting Setting, SaeSpec Example)[] Rows =
    [
        .. from part in SpecSettings.Parts
           from setting in part.Settings
           select (part, setting, SpecExamples.All.First(spec => RecordOf(part, spec) is not null)),
    ];

    [Fact]
    public void EveryRecordAndKindHasAPart() =>
        Assert.Equal(RecordsOf(typeof(SaeSpec)).Select(type => type.Name).Order(),
            SpecSettings.Parts.Select(part => part.Record.Name).Order());

    [Fact]
    public void EveryFieldHasARow() => Assert.All(SpecSettings.Parts, part => Assert.Equal(
        FieldsOf(part.Record).Select(property => property.Name).Order(),
        part.Settings.Select(setting => setting.Property).Order()));

    [Fact]
    public void APartHasThePathAndTheKindOfItsRecord() => Assert.All(SpecSettings.Parts, part =>
    {
        var type = part.Path.Length == 0 ? typeof(SaeSpec) : PropertyOf(part).PropertyType;
        Assert.Equal(part.IsKind ? part.Title : null, type.GetCustomAttributes<JsonDerivedTypeAttribute>()
            .SingleOrDefault(kind => kind.DerivedType == part.Record)?.TypeDiscriminator);
        Assert.Equal(part.IsKind ? part.Record.BaseType : part.Record, type);
    });

    /// <summary>The path of a setting leads to the field that the row reads, and to no other field.</summary>
    [Fact]
    public void ASettingReadsItsOwnField() => Assert.All(Rows, row =>
    {
        var changed = With(row.Example, row.Part.PathOf(row.Setting), Other(row.Setting, row.Example, row.Part));
        var (before, after) = (RecordOf(row.Part, row.Example)!, RecordOf(row.Part, changed)!);
        Assert.Equal([row.Setting.Property], row.Part.Settings
            .Where(setting => Read(setting, before) != Read(setting, after)).Select(setting => setting.Property));
    });

    [Fact]
    public void ExamplesCanBeTrained() => Assert.All(SpecExamples.All, spec => spec.Validate());

    /// <summary>Values within a range are accepted up to its ends, and the values beside the ends are refused by
    /// name.</summary>
    [Theory]
    [MemberData(nameof(SpecExamples.Ranges), MemberType = typeof(SpecExamples))]
    public void RangesIncludeTheirEnds(string title, string field, string[] accepted, string[] refused)
    {
        var (part, setting, example) = Rows.Single(row => row.Part.Title == title && row.Setting.Field == field);
        SaeSpec Edited(string json) => With(example, part.PathOf(setting), JsonNode.Parse(json));
        Assert.All(accepted, json => Edited(json).Validate());
        Assert.All(refused, json => AssertOneLine(
            $"^{Regex.Escape(part.Prefix)}{setting.Property} = \\S+ is out of range: it must be ",
            () => Edited(json).Validate()));
    }

    [Fact]
    public void EveryRangeIsTested() => Assert.Equal(
        Rows.Where(row => TypeOf(row.Setting) is { IsEnum: false } type && (type.IsArray || type != typeof(bool)
            && type.IsPrimitive)).Select(row => $"{row.Part.Title}.{row.Setting.Field}").Order(),
        SpecExamples.Ranges.Select(range => $"{range.Data.Item1}.{range.Data.Item2}").Order());

    [Fact]
    public void AValueThatItsEnumDoesNotDefineIsRefusedByName()
    {
        AssertOneLine("^DecoderNorm = 9 is out of range: it must be one of Free, Unit, AtMostOne$", () =>
            (SpecExamples.All[1] with { DecoderNorm = (DecoderNorm)9 }).Validate());
        AssertOneLine("^Kernel = 9 is out of range: it must be one of Rectangle, ", () =>
            (SpecExamples.All[1] with { Selection = new Selection.JumpRelu((SmoothingKernel)9) }).Validate());
        AssertOneLine("^Penalty.Weight = 9 is out of range: it must be one of One, ", () => (SpecExamples.All[1] with
        {
            Penalty = new SparsityPenalty.L1 { Coefficient = 1, Weight = (PenaltyWeight)9 },
        }).Validate());
    }

    [Fact]
    public void OptionsAreThoseOfTheTable() =>
        Assert.Equal(Rows.Where(row => row.Setting.HasOption).Select(row => row.Setting.Flag).Distinct().Order(),
            new SpecOptions().All.Select(option => option.Name).Order());

    /// <summary>The page lists the rows of the table. A required field may not be missing in train.json. Another field
    /// has the stated default where it is not set.</summary>
    [Fact]
    public void ThePageStatesDefaults()
    {
        string[][] lines = [.. ReferencePages.All().Single(page => page.Name == "settings.md").Text
            .Split("## Spec\n")[1].Split("## Command\n")[0].Split('\n')
            .Where(line => line.StartsWith("| `", StringComparison.Ordinal)).Select(line => line.Split(" | "))];
        Assert.Equal(Rows.Select(row => $"| `{row.Part.PathOf(row.Setting)}`"), lines.Select(cells => cells[0]));
        Assert.All(Rows.Zip(lines, (row, cells) => (row.Part, row.Setting, row.Example, Default: cells[4])), row =>
        {
            if (row.Default == "required")
                Assert.Throws<SaeException>(() => Without(row.Setting, row.Part, row.Example));
            else
                Assert.Equal(row.Default.Trim('`'), Markdown.Exponents(
                    Read(row.Setting, Unset(row.Part, row.Setting, row.Example)).Trim('"')));
        });
    }

    /// <summary>A record in which a field is not set. JSON may lack the parameters of constructors only.</summary>
    static object Unset(SpecPart part, Setting setting, SaeSpec example) =>
        part.Record == typeof(SaeSpec) ? SpecExamples.Basis
        : part.Record == typeof(SparsityPenalty) ? new SparsityPenalty.L1 { Coefficient = 1 }
        : RecordOf(part, Without(setting, part, example))!;

    static SaeSpec Without(Setting setting, SpecPart part, SaeSpec spec)
    {
        var record = SaeRecords.Write(spec);
        (part.Path.Length == 0 ? record : record[part.Path]!).AsObject().Remove(setting.Field);
        return SaeRecords.ReadSpec(record);
    }

    /// <summary>A spec's record, the records in it, and their kinds.</summary>
    static IEnumerable<Type> RecordsOf(Type record) =>
    [
        record, .. record.GetCustomAttributes<JsonDerivedTypeAttribute>().Select(kind => kind.DerivedType),
        .. FieldsOf(record).Where(property => property.PropertyType is { IsArray: false, IsEnum: false } type
            && type.Namespace == record.Namespace).SelectMany(property => RecordsOf(property.PropertyType)),
    ];

    static IEnumerable<PropertyInfo> FieldsOf(Type record) => record.GetProperties(BindingFlags.Public
        | BindingFlags.Instance | BindingFlags.DeclaredOnly).Where(property => property.SetMethod is not null);

    static PropertyInfo PropertyOf(SpecPart part) => typeof(SaeSpec).GetProperties()
        .Single(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name) == part.Path);

    /// <summary>The record that a part describes; null if the spec has another kind or none.</summary>
    static object? RecordOf(SpecPart part, SaeSpec spec) =>
        (part.Path.Length == 0 ? spec : PropertyOf(part).GetValue(spec)) is { } record
            && part.Record.IsInstanceOfType(record) ? record : null;

    static Type TypeOf(Setting setting) => setting.GetType().GetGenericArguments()[1];

    static string Read(Setting setting, object record) =>
        JsonSerializer.Serialize(setting.GetType().GetMethod("Get")!.Invoke(setting, [record]));

    /// <summary>Another value of a field.</summary>
    static JsonNode? Other(Setting setting, SaeSpec spec, SpecPart part)
    {
        var record = SaeRecords.Write(spec);
        if (part.Path.Length > 0) record = record[part.Path]!;
        return TypeOf(setting) switch
        {
            { IsEnum: true } type =>
                Enum.GetNames(type).First(name => name != (string)record[setting.Field]!),
            { IsArray: true } => new JsonArray(7),
            var type when type == typeof(bool) => !(bool)record[setting.Field]!,
            { IsPrimitive: true } => (double)record[setting.Field]! + 1,
            _ => SpecExamples.All.Select(example => SaeRecords.Write(example)[setting.Field])
                .First(node => !JsonNode.DeepEquals(node, record[setting.Field]))?.DeepClone(),
        };
    }

    static SaeSpec With(SaeSpec spec, string path, JsonNode? value) =>
        FieldEdits.Apply(spec, [KeyValuePair.Create(path, value)]);
}
