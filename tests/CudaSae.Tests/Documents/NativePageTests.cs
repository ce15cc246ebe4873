using System.Text.RegularExpressions;
using CudaSae.Bench.Reference;

namespace CudaSae.Tests;

/// <summary>docs/reference/c.md and python.md have every name of cudasae.h and cudasae.py, and a name without
/// documentation is refused.</summary>
public partial class NativePageTests
{
    static string Page(string name) => ReferencePages.All().Single(page => page.Name == name).Text;

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
}
