using System.Reflection;
using System.Text.RegularExpressions;
using CudaSae.Bench.Reference;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The reference pages of C#, C and Python are complete, and an undocumented name is refused.
/// SettingsTests.GeneratedPagesAreUpToDate compares the files with the generated text.</summary>
public partial class ReferenceTests
{
    static readonly XmlDocs Docs = new();

    static string Page(string name) => ReferencePages.All().Single(page => page.Name == name).Text;

    [Fact]
    public void EveryExportedTypeAndMemberIsOnThePage()
    {
        var sections = Page("csharp.md").Split("\n### ").Skip(1).ToDictionary(section => section.Split('\n')[0]);
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
    public void ATypeWithoutASectionIsRefused() => AssertOneLine("ReferenceTests is public, and no section",
        () => CSharpPage.Sections([.. typeof(Sae).Assembly.GetExportedTypes(), typeof(ReferenceTests)]));

    [Theory]
    [InlineData(typeof(Selection.TopK),
        "public sealed record TopK(int K, int InitialK = 0, float AnnealFraction = 0.1f) : Selection")]
    [InlineData(typeof(PreActLoss), "public sealed record PreActLoss(float Coefficient = 3e-6f, bool DeadOnly = false, "
        + "long DeadAfterTokens = 10_000_000)")]
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
        + "int batchRows = 256, SaeKind? readAs = null)")]
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
    [InlineData("`int BatchRows { get; init; } = 1024;`")]
    [InlineData("`OptimizerKind Optimizer { get; init; } = OptimizerKind.Adam;`")]
    [InlineData("`float Epsilon { get; init; } = 1e-8f;`")]
    [InlineData("`const long AutoPool = -1`")]
    [InlineData("`required int InputWidth { get; init; }`")]
    [InlineData("void Step(ReadOnlySpan<byte> rows)\nvoid Step(ReadOnlySpan<float> rows)\n")]
    public void ThePageHasInitialValuesAndOverloads(string text) => Assert.Contains(text, Page("csharp.md"));

    [Fact]
    public void MembersThatTheCompilerAddsAreLeftOut() =>
        Assert.DoesNotMatch(@"\b(Deconstruct|GetHashCode|Equals|EqualityContract|PrintMembers|Clone)\b",
            Page("csharp.md"));

    [Fact]
    public void AMemberWithoutASummaryIsRefused() => AssertOneLine("ReferenceTests.Page.System.String. has no summary",
        () => Docs.Summary(typeof(ReferenceTests).GetMethod("Page", BindingFlags.NonPublic | BindingFlags.Static)!));

    [Fact]
    public void ReferencesNameTheirTypeOutsideIt()
    {
        const string rows = "P:CudaSae.SparseRows.Rows", top = "P:CudaSae.Model.Selection.TopK.K";
        Assert.Equal("Rows", Docs.Name(rows, typeof(SparseRows)));
        Assert.Equal("SparseRows.Rows", Docs.Name(rows, typeof(Sae)));
        Assert.Equal("Selection.TopK.K", Docs.Name(top, null));
        Assert.Equal("SaeTrainer.Step", Docs.Name("M:CudaSae.SaeTrainer.Step(System.ReadOnlySpan{System.Byte})", null));
    }

    [Fact]
    public void EveryFunctionRecordAndConstantOfTheHeaderIsOnThePage()
    {
        var (header, page) = (Comment().Replace(ReferencePages.Source("cudasae.h"), ""), Page("c.md"));
        var functions = FunctionName().Matches(header).ToArray();
        Assert.True(functions.Length > 20, $"only {functions.Length} functions were found");
        Assert.All(functions, name => Assert.Contains($"\n### {name.Groups[1].Value}\n", page));
        Assert.All(AnyName().Matches(header).Where(name => name.Value != "CUDASAE_H"),
            name => Assert.Matches($@"\b{name.Value}\b", page));
    }

    /// <summary>The exports of the library are those of the header.</summary>
    [Fact]
    public void EveryExportIsInTheHeader()
    {
        var exports = Directory.GetFiles(Path.Combine(Repository.Root, "src", "CudaSae.Native"), "Exports*.cs")
            .SelectMany(file => EntryPoint().Matches(File.ReadAllText(file))).Select(match => match.Groups[1].Value);
        Assert.Equal(exports.Order(), CHeader.Parse(ReferencePages.Source("cudasae.h")).Declarations
            .Where(one => one.Kind == CKind.Function).Select(one => one.Name).Order());
    }

    [Theory]
    [InlineData("int32_t f(int32_t x);", "line 5 of the header: f has no comment")]
    [InlineData("/* Does this. */\n\nint32_t f(int32_t x);", "line 7 of the header: f has no comment")]
    [InlineData("typedef struct {\n    int32_t x;     /* a field */\n} r;", "line 5 of the header: r has no comment")]
    [InlineData("#define A 1", "line 5 of the header: A has no comment")]
    [InlineData("/* This. */\nint32_t x;", "line 6 of the header has an unknown form: int32_t x;")]
    [InlineData("int32_t f(int32_t x)", "line 5 of the header begins a declaration that does not end")]
    public void AnUndocumentedDeclarationIsRefused(string declaration, string message) =>
        AssertOneLine(message,
            () => CHeader.Parse($"/* Library. */\n#ifndef H\n#define H\n\n{declaration}\n\n#endif\n"));

    [Fact]
    public void ACommentDocumentsAllDeclarationsBelowIt()
    {
        var header = CHeader.Parse("/* Library. */\n\n/* ---- all ---- */\n\n/* Both of them. */\nint f(void);\n"
            + "int g(void);\n\ntypedef struct h h;     /* A handle. */\n");
        Assert.Equal(["f: Both of them.", "g: Both of them.", "h: A handle."],
            header.Declarations.Select(one => $"{one.Name}: {one.Comment[0]}"));
        Assert.All(header.Declarations, one => Assert.Equal("all", one.Section));
    }

    [Fact]
    public void EveryExportedNameOfPythonIsOnThePage()
    {
        var (module, page) = (PythonModule.Parse(ReferencePages.Source("cudasae.py")), Page("python.md"));
        Assert.Equal(["Trainer", "Sae", "Error", "version"], module.Exported);
        Assert.All(module.Exported, name => Assert.Contains($"\n## {name}\n", page));
        Assert.Contains("\n### Sae.load\n\n```python\n"
            + "Sae.load(path, backend=\"auto\", batch_rows=256, read_as=None)\n```\n", page);
        Assert.Contains("\n### Trainer.steps\n\n```python\nTrainer.steps\n```\n", page);
        Assert.Contains("\n### Sae.close\n", page);     // of the private base
    }

    [Theory]
    [InlineData("class A:\n    \"\"\"An A.\"\"\"\n\n    def f(self, x):\n        return x\n", "A.f has no docstring")]
    [InlineData("class A:\n    def f(self):\n        \"\"\"Returns.\"\"\"\n", "A has no docstring")]
    [InlineData("def A(x):\n    return x\n", "A has no docstring")]
    [InlineData("class B:\n    \"\"\"A B.\"\"\"\n", "A is in __all__, but the module does not define it")]
    [InlineData("class A:\n    \"\"\"An A.\n\n    x: one.\"\"\"\n\n    def __init__(self, x, y):\n        pass\n",
        "the docstring of A does not describe the parameter y")]
    [InlineData("class A:\n    \"\"\"An A.\"\"\"\n\n    def __init__(self):\n        self.x, self._y = 1, 2\n",
        "the docstring of A does not describe the attribute x")]
    public void AnUndocumentedNameOfPythonIsRefused(string code, string message) => AssertOneLine($"^{message}$",
        () => PythonPage.Text(PythonModule.Parse($"\"\"\"Module.\"\"\"\n\n__all__ = [\"A\"]\n\n\n{code}")));

    [GeneratedRegex(@"/\*.*?\*/", RegexOptions.Singleline)]
    private static partial Regex Comment();

    [GeneratedRegex(@"\b(cudasae_\w+)\(")]
    private static partial Regex FunctionName();

    [GeneratedRegex(@"\b(cudasae|CUDASAE)_\w+")]
    private static partial Regex AnyName();

    [GeneratedRegex("EntryPoint = \"(\\w+)\"")]
    private static partial Regex EntryPoint();

    // Members that the compiler adds to records are left out.
    [GeneratedRegex(@"^(static |const )?(?<type>CudaSae[\w.]*)\.(?<name>(?!(get|set|init)\b|Equals|Deconstruct|"
        + @"GetHashCode|EqualityContract|operator|PrintMembers|ToString)\w+)(\.get|\.init|\.set|\(.*\)| = .*)? -> ")]
    private static partial Regex Member();
}
