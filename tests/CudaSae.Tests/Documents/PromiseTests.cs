using System.Reflection;
using System.Text.RegularExpressions;
using CudaSae.Distributed;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The exactness promises of docs/internals/reliability.md. Each promise names tests, and those tests
/// exist.</summary>
public partial class PromiseTests
{
    [GeneratedRegex(@"`(?<class>[A-Za-z.]+Tests[A-Za-z.]*)\.(?<method>[A-Za-z0-9]+)`")]
    private static partial Regex Named();

    [Fact]
    public void EveryPromiseNamesTestsThatRun()
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, "docs", "internals", "reliability.md"));
        var section = text[text.IndexOf("## Exactness promises", StringComparison.Ordinal)..];
        section = section[..section.IndexOf("\n## ", 3, StringComparison.Ordinal)];
        var promises = section.Split('\n')
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal)
                && !line.StartsWith("| promise", StringComparison.Ordinal))
            .ToArray();
        Assert.InRange(promises.Length, 10, 40);
        foreach (var promise in promises)
        {
            var tests = Named().Matches(promise);
            Assert.True(tests.Count > 0, $"no test is named for: {promise}");
            foreach (Match test in tests)
            {
                var type = typeof(PromiseTests).Assembly.GetType(
                    $"CudaSae.Tests.{test.Groups["class"].Value.Replace('.', '+')}");
                var method = type?.GetMethod(test.Groups["method"].Value, BindingFlags.Public | BindingFlags.Instance);
                Assert.True(method?.GetCustomAttribute<FactAttribute>() is { Explicit: false },
                    $"{test.Value} is not a test that always runs, but is named for: {promise}");
            }
        }
    }

    /// <summary>Random numbers are a function of seed, step, row and column. Each of the four has an effect; order and
    /// threads have none.</summary>
    [Fact]
    public void RandomNumbersAreAFunctionOfTheirKey()
    {
        ulong Draw(int i) =>
            CounterRandom.Of((ulong)(i & 3), (ulong)(i >> 2 & 15), (ulong)(i >> 6 & 63), (ulong)(i >> 12));
        var forwards = Enumerable.Range(0, 1 << 18).Select(Draw).ToArray();
        Assert.Equal(forwards.Length, forwards.Distinct().Count());
        var backwards = new ulong[forwards.Length];
        Parallel.For(0, backwards.Length, i => backwards[backwards.Length - 1 - i] = Draw(backwards.Length - 1 - i));
        Assert.Equal(forwards, backwards);
        var mean = forwards.Average(z => (z >> 11) * Math.Pow(2, -53));
        Assert.InRange(mean, 0.5 - 5 * Math.Sqrt(1 / 12.0 / forwards.Length),
            0.5 + 5 * Math.Sqrt(1 / 12.0 / forwards.Length));
    }

    /// <summary>Collectives move bytes, and add or compare integers. The engine adds floats in an order that it
    /// states.</summary>
    [Fact]
    public void CollectivesAddNoFloats()
    {
        var numbers = typeof(ICollective).GetMethods().Where(m => m.Name is "Sum" or "Max").ToArray();
        Assert.Equal(3, numbers.Length);
        Assert.All(numbers, m => Assert.Contains(Assert.Single(m.GetParameters()).ParameterType,
            new[] { typeof(Span<int>), typeof(Span<long>) }));
        Assert.All(typeof(ICollective).GetMethods().Except(numbers),
            m => Assert.DoesNotContain(m.GetParameters(), p => p.ParameterType.GetElementType() == typeof(float)));
        string[] types =
            [.. typeof(MpiAbi).GetMembers(BindingFlags.Public | BindingFlags.Instance).Select(m => m.Name)];
        Assert.Contains("Int64", types);
        Assert.DoesNotContain("Float", types);
        Assert.DoesNotContain("Double", types);
    }

    /// <summary>Atomics of the kernels count and mark; no sum of floats depends on their order. build/kernel-gate.sh
    /// searches the compiled code for floating-point atomics.</summary>
    [Fact]
    public void KernelsAddNoFloatsAtomically()
    {
        var uses = new[] { "kernels", Path.Combine("kernels", "sm90") }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Repository.Root, folder)))
            .Where(f => f.EndsWith(".cu", StringComparison.Ordinal) || f.EndsWith(".cuh", StringComparison.Ordinal))
            .SelectMany(f => File.ReadLines(f)
                .Where(line => line.Contains("atomic") && !line.TrimStart().StartsWith("//", StringComparison.Ordinal))
                .Select(line => $"{Path.GetFileName(f)}: {line.Trim()}")).ToArray();
        Assert.InRange(uses.Length, 5, 60);
        const string counter = @"reinterpret_cast<unsigned long long\*>\(p\.count\) \+ [^,]+, 1ull",
            integer = @"1u? ?(<<[^)]*)?|0xffffffffu|added|bucket_limit\(.+\)|__popc\(\w+\)|s\.bins\[i\]|smallest|"
                + @"__float_as_uint\(excess\)";
        Assert.All(uses, use => Assert.Matches($@"atomic(Add|Or|Min|Max)\(({counter}|.+, ({integer}))\)", use));
        Assert.Contains("floating-point atomic",
            File.ReadAllText(Path.Combine(Repository.Root, "build", "kernel-gate.sh")));
    }
}
