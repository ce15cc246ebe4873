using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using CudaSae.Bench.Reference;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>docs/reference/csharp.md has every public type and member with its declaration.
/// SettingsTests.GeneratedPagesAreUpToDate compares the file with the generated text.</summary>
public partial class CSharpPageTests
{
    static readonly XmlDocs Docs = XmlDocs.OfEngine();

    static readonly string Page = ReferencePages.All().Single(page => page.Name == "csharp.md").Text;

    [Fact]
    public void EveryExportedTypeAndMemberIsOnThePage()
    {
        var sections = Page.Split("\n### ").Skip(1).ToDictionary(section => section.Split('\n')[0]);
        var types = typeof(Sae).Assembly.GetExportedTypes().ToDictionary(
            type => type.FullName!.Replace('+', '.'), type => type.FullName![(type.Namespace!.Length + 1)..]);
        Assert.Equal(types.Values.Select(name => name.Replace('+', '.')).Order(), sections.Keys.Order());
        var api = File.ReadAllLines(Path.Combine(Repository.Root, "src", "CudaSae", "PublicAPI.Unshipped.txt"));
        var members = api.Select(line => Member().Match(line)).Where(match => match.Success).ToArray();
        Assert.True(members.Length > 250, $"only {members.Length} members were found");
        Assert.All(members, member => Assert.Matches($@"\b{member.Groups["name"].Value}\b",
            sections[types[member.Groups["type"].Value].Replace('+', '.')]));
    }

    [Fact]
    public void ATypeWithoutASectionIsRefused() => AssertOneLine("CSharpPageTests is public, and no section",
        () => CSharpPage.Sections([.. typeof(Sae).Assembly.GetExportedTypes(), typeof(CSharpPageTests)]));

    [Theory]
    [InlineData(typeof(Selection.TopK),
        "public sealed record TopK(int K, int InitialK = 0, float AnnealFraction = 0.1f) : Selection")]
    [InlineData(typeof(PreActLoss), "public sealed record PreActLoss(float Coefficient = 3e-6f, bool DeadOnly = "
        + "false,\n    long DeadAfterTokens = 10_000_000)")]
    [InlineData(typeof(Nesting), "public abstract record Nesting")]
    [InlineData(typeof(SaeFormats), "public static class SaeFormats")]
    [InlineData(typeof(ISaeFormat), "public interface ISaeFormat")]
    [InlineData(typeof(SaeException), "public class SaeException : Exception")]
    [InlineData(typeof(Matrix), "public sealed class Matrix : IDisposable")]
    [InlineData(typeof(Tying), "public enum Tying")]
    public void ATypeHasItsDeclaration(Type type, string declaration) =>
        Assert.Equal(declaration, CSharpSignatures.Of(type));

    [Theory]
    [InlineData(typeof(Sae), "Load", "static Sae Load(string path, BackendKind kind = BackendKind.Auto, "
        + "int batchRows = 256,\n    SaeKind? readAs = null)")]
    [InlineData(typeof(Sae), "Reconstruct",
        "void Reconstruct(ReadOnlySpan<float> x, Span<float> into, SparseRows? codes = null)")]
    [InlineData(typeof(SaeTrainer), "StepOnDevice", "void StepOnDevice(ulong rows, nint stream = 0)")]
    [InlineData(typeof(SaeModel), "Save", "IReadOnlyList<string> Save(string path, string format = \"saelens\")")]
    [InlineData(typeof(SaeFormats), "Recognize", "static ISaeFormat? Recognize(string path)")]
    public void AMethodHasItsSignature(Type type, string name, string signature) =>
        Assert.Equal(signature, CSharpSignatures.Of((MethodBase)type.GetMember(name).Single()));

    [Theory]
    [InlineData(typeof(SaeModel), "LogFiringFrequency", "float[]? LogFiringFrequency { get; init; }")]
    [InlineData(typeof(StepMetrics), "Fvu", "required double? Fvu { get; init; }")]
    [InlineData(typeof(SaeParameters), "BatchThreshold", "float BatchThreshold { get; set; }")]
    [InlineData(typeof(Matrix), "Data", "float* Data { get; }")]
    [InlineData(typeof(Matrix), "Item", "Span<float> this[long i] { get; }")]
    [InlineData(typeof(MemoryPlan), "Parts", "IReadOnlyList<(string Name, long Bytes)> Parts { get; }")]
    [InlineData(typeof(Preset), "All", "static IReadOnlyList<Preset> All { get; }")]
    public void APropertyHasItsSignature(Type type, string name, string signature) =>
        Assert.Equal(signature, CSharpSignatures.Of(type.GetProperty(name)!));

    [Theory]
    [InlineData(null, typeof(int?), "null")]
    [InlineData(null, typeof(string), "null")]
    [InlineData(null, typeof(nint), "0")]
    [InlineData(null, typeof(CancellationToken), "default")]
    [InlineData(3e-6f, typeof(float), "3e-6f")]
    [InlineData(1e10f, typeof(float), "1e10f")]
    [InlineData(2f, typeof(float?), "2")]
    [InlineData(10_000, typeof(long), "10_000")]
    [InlineData(1, typeof(OptimizerKind), "OptimizerKind.LazyRowAdam")]
    public void AConstantIsWrittenAsInCSharp(object? value, Type type, string code) =>
        Assert.Equal(code, CSharpNames.Value(value, type));

    [Theory]
    [InlineData("`int BatchRows { get; init; } = 1024;`")]
    [InlineData("`OptimizerKind Optimizer { get; init; } = OptimizerKind.Adam;`")]
    [InlineData("`float Epsilon { get; init; } = 1e-8f;`")]
    [InlineData("`const long AutoPool = -1`")]
    [InlineData("`required int InputWidth { get; init; }`")]
    [InlineData("void Step(ReadOnlySpan<byte> rows)\nvoid Step(ReadOnlySpan<float> rows)\n")]
    public void ThePageHasInitialValuesAndOverloads(string text) => Assert.Contains(text, Page);

    [Fact]
    public void MembersThatTheCompilerAddsAreLeftOut() =>
        Assert.DoesNotMatch(@"\b(Deconstruct|GetHashCode|Equals|EqualityContract|PrintMembers|Clone)\b", Page);

    [Theory]
    [InlineData("<summary>Adds.</summary><param name='x'>One.</param><param name='y'>Another.</param>", null)]
    [InlineData("<param name='x'>One.</param><param name='y'>Another.</param>",
        @"Sample\.Add\(System.Int32,System.Int32\) has no summary")]
    [InlineData("<summary>Adds.</summary><param name='x'>One.</param>",
        @"the parameter y of M:.*Sample\.Add\(System.Int32,System.Int32\) is not described")]
    public void AnUndocumentedMethodOrParameterIsRefused(string documentation, string? message)
    {
        const string name = "CudaSae.Tests.CSharpPageTests.Sample";
        var docs = new XmlDocs(XDocument.Parse($"""
            <doc><member name="T:{name}"><summary>A sample.</summary></member>
            <member name="M:{name}.Add(System.Int32,System.Int32)">{documentation}</member></doc>
            """));
        if (message is not null) AssertOneLine(message, () => CSharpType.Text(docs, typeof(Sample)));
        else
            Assert.EndsWith("#### CSharpPageTests.Sample.Add\n\n```csharp\nint Add(int x, int y = 2)\n```\n\nAdds.\n\n"
                + "- `x`: One.\n- `y`: Another.\n", CSharpType.Text(docs, typeof(Sample)));
    }

    [Fact]
    public void ReferencesNameTheirTypeOutsideIt()
    {
        const string rows = "P:CudaSae.SparseRows.Rows", top = "P:CudaSae.Model.Selection.TopK.K";
        Assert.Equal("Rows", Docs.Name(rows, typeof(SparseRows)));
        Assert.Equal("SparseRows.Rows", Docs.Name(rows, typeof(Sae)));
        Assert.Equal("Selection.TopK.K", Docs.Name(top, null));
        Assert.Equal("SaeTrainer.Step", Docs.Name("M:CudaSae.SaeTrainer.Step(System.ReadOnlySpan{System.Byte})", null));
    }

    sealed class Sample
    {
        public int Add(int x, int y = 2) => x + y;
    }

    // Members that the compiler adds to records are left out.
    [GeneratedRegex(@"^(static |const )?(?<type>CudaSae[\w.]*)\.(?<name>(?!(get|set|init)\b|Equals|Deconstruct|"
        + @"GetHashCode|EqualityContract|operator|PrintMembers|ToString)\w+)(\.get|\.init|\.set|\(.*\)| = .*)? -> ")]
    private static partial Regex Member();
}
