using System.Text.RegularExpressions;

namespace CudaSae.Tests;

/// <summary>The folders of the engine import downwards only (docs/internals/decisions/0011-floors.md).</summary>
public partial class FloorTests
{
    /// <summary>The floors from the lowest. Folders of one floor do not import each other. Root is the public API on
    /// rows.</summary>
    static readonly string[][] Floors =
    [
        ["Text"], ["Numerics"], ["Files"], ["Model"], ["Activations", "Devices", "Distributed"], ["Backends"],
        ["Feeding", "Metrics"], ["Training"], ["Formats"], [Root], ["Runs"],
    ];

    const string Root = "";
    static readonly string Source = Path.Combine(Repository.Root, "src", "CudaSae");

    /// <summary>Types of the root, which are used without an import.</summary>
    static readonly string[] RootTypes =
        [.. typeof(Sae).Assembly.GetTypes().Where(t => t is { Namespace: "CudaSae", IsNested: false })
            .Select(t => t.Name).Except([nameof(SaeException), nameof(SaeErrorKind)])];

    [Fact]
    public void EveryFolderHasAFloor() =>
        Assert.Equal(Floors.SelectMany(floor => floor).Order(), Files().Select(f => f.Folder).Distinct().Order());

    [Fact]
    public void NoFileUsesAFolderOfItsOwnFloorOrAHigherOne() => Assert.Empty(
        from file in Files()
        from folder in Floors[FloorOf(file.Folder)..].SelectMany(floor => floor)
        where folder != file.Folder && file.Name != "SaeException"
        from used in folder == Root ? RootTypes.Select(type => (Name: type, Code: $@"{type}(?=[ .?>()\[])"))
            : [(folder, $@"CudaSae\.{folder}\b"), (folder, $@"{folder}\.[A-Z]")]
        where Regex.IsMatch(file.Code, $@"(?<![\w.])(CudaSae\.)?{used.Code}")
        select $"{file.Folder}/{file.Name}.cs uses {used.Name}");

    [Fact]
    public void ANamespaceIsItsFolder() => Assert.All(Files(), file => Assert.Matches(
        $@"(?m)^namespace CudaSae{(file.Folder == Root ? ";" : $@"\.{file.Folder}[.;]")}", file.Code));

    static int FloorOf(string folder) => Array.FindIndex(Floors, floor => floor.Contains(folder));

    /// <summary>Returns the code without comments and texts, and its folder directly below the engine's
    /// folder.</summary>
    static IEnumerable<(string Folder, string Name, string Code)> Files() =>
        from path in Directory.EnumerateFiles(Source, "*.cs", SearchOption.AllDirectories)
        let parts = Path.GetRelativePath(Source, path).Split(Path.DirectorySeparatorChar)
        select (parts.Length > 1 ? parts[0] : Root, Path.GetFileNameWithoutExtension(path),
            CommentOrText().Replace(File.ReadAllText(path), " "));

    [GeneratedRegex("//.*|\"(\\\\.|[^\"\\\\\n])*\"")]
    private static partial Regex CommentOrText();
}
