using Xunit;

namespace CudaSae.Tests;

/// <summary>Code that documents show is code that runs.</summary>
public class DocumentTests
{
    [Theory, InlineData("src/CudaSae/package.md"), InlineData("docs/embedding.md")]
    public void ExampleIsTheConsumersProgram(string document)
    {
        var program = File.ReadAllText(Path.Combine(Repository.Root, "tests/consumer/Program.cs"));     // build/consumer.sh runs it
        var text = File.ReadAllText(Path.Combine(Repository.Root, document));
        var start = text.IndexOf("```csharp\n", StringComparison.Ordinal) + 10;
        var example = text[start..text.IndexOf("```", start, StringComparison.Ordinal)];
        Assert.InRange(example.Split('\n').Length, 8, 14);
        Assert.Contains(example, program);
    }
}
