namespace CudaSae.Tests;

/// <summary>Code in documents is code that runs, and lists in documents are complete.</summary>
public class DocumentTests
{
    [Theory, InlineData("src/CudaSae/package.md"), InlineData("docs/guide/embedding.md")]
    public void ExampleIsTheConsumersProgram(string document)
    {
        // build/consumer.sh runs it
        var program = File.ReadAllText(Path.Combine(Repository.Root, "tests/consumer/Program.cs"));
        var text = File.ReadAllText(Path.Combine(Repository.Root, document));
        var start = text.IndexOf("```csharp\n", StringComparison.Ordinal) + 10;
        var example = text[start..text.IndexOf("```", start, StringComparison.Ordinal)];
        Assert.InRange(example.Split('\n').Length, 8, 14);
        Assert.Contains(example, program);
    }

    /// <summary>The machine with the GPU accepts commands up to this length.</summary>
    [Theory, InlineData("first"), InlineData("second"), InlineData("second", "8-bit")]
    public void ACallForAGpuFitsIntoACommand(string verb, string arguments = "")
    {
        var lines = File.ReadAllLines(Path.Combine(Repository.Root, "bench/README.md"));
        var start = $"    bash bench/gpu.sh {verb} \"$OUT\"";
        var end = arguments.Length > 0 ? $" \"{arguments}\"" : "\"$OUT\"";
        bool Shows(string l) =>
            l.StartsWith(start, StringComparison.Ordinal) && l.EndsWith(end, StringComparison.Ordinal);
        var line = Assert.Single(lines, Shows);
        Assert.InRange(line.Trim().Length, 20, 2000);
    }

    /// <summary>The list in kernels/README.md contains every kernel.</summary>
    [Fact]
    public void EveryKernelFileIsListed()
    {
        var folder = Path.Combine(Repository.Root, "kernels");
        var list = File.ReadAllText(Path.Combine(folder, "README.md"));
        var files = Directory.GetFiles(folder, "*.cu").Concat(Directory.GetFiles(Path.Combine(folder, "sm90"), "*.cu"))
            .Select(file => Path.GetRelativePath(folder, file).Replace('\\', '/')).ToArray();
        Assert.True(files.Length > 20);
        foreach (var file in files) Assert.Contains($"`{file}`", list);
    }

    [Fact]
    public void EveryDecisionHasNumberStatusAndDate()
    {
        var records = Directory.GetFiles(Path.Combine(Repository.Root, "docs", "internals", "decisions"), "*.md");
        Assert.True(records.Length > 10);
        Assert.All(records, record =>
        {
            var number = Path.GetFileName(record)[..4];
            var status = $@"Status: (accepted|replaced by \d{{4}})\. Date: \d{{4}}-\d\d-\d\d\.";
            Assert.Matches($@"^# {number}\. .+\n\n{status}\n", File.ReadAllText(record));
        });
    }
}
