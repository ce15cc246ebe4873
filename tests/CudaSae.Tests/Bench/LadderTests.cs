using System.Text.RegularExpressions;
using CudaSae.Bench.Ladder;
using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>Every rung of kernels/ladder against a double reference, at sizes that are not multiples of a tile, under
/// two schedules.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class LadderTests
{
    public static TheoryData<string> Rungs() => [.. Rung.All.Select(rung => rung.Name)];

    [Theory]
    [MemberData(nameof(Rungs))]
    public void RungEqualsReference(string name)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        var rung = Rung.All.Single(r => r.Name == name);
        var problem = LadderProblem.Make(rows: rung.Hopper is { Cluster: 2 } ? 131 : 37, width: 100, columns: 200);
        ulong? checksum = null;
        foreach (ulong seed in (ulong[])[0, 5])
        {
            Targets.Emulator.SetSeed(seed);
            using var device = rung.Hopper is null ? Targets.OpenEmulator() : Targets.OpenEmulator((9, 0));
            using var ladder = new LadderDevice(device, problem);
            var check = ladder.Check(rung);
            Assert.True(check.Passed, $"{check.MaxError} of what rounding allows; {check.Fault}");
            Assert.Equal(checksum ??= check.Checksum, check.Checksum);
        }
        Targets.Emulator.SetSeed(0);
    }

    [Theory]
    [MemberData(nameof(Rungs))]
    public void RungEqualsReferenceOnTheGpu(string name)
    {
        Assert.SkipUnless(Targets.HasGpu(out var why), why);
        var rung = Rung.All.Single(r => r.Name == name);
        using var device = CudaDevice.Open(0);
        Assert.SkipUnless(rung.RunsOn(device.Info), "it needs compute capability 9.0");
        using var ladder = new LadderDevice(device, LadderProblem.Make(rows: 300, width: 100, columns: 1000));
        var (first, second) = (ladder.Check(rung), ladder.Check(rung));
        Assert.True(first.Passed, $"{first.MaxError} of what rounding allows; {first.Fault}");
        Assert.Equal(first, second);
    }

    /// <summary>The check that the other test relies on must be able to fail.</summary>
    [Fact]
    public void TheCheckDetectsErrors()
    {
        var (value, allowed) = LadderProblem.Make(rows: 2, width: 64, columns: 300).Reference(1);
        float[] right = [.. value.Select(v => (float)v)];
        Assert.InRange(LadderCheck.Compare(right, value, allowed), 0, 1);
        foreach (var wrong in (float[])[right[7] + 1e-3f, float.NaN])
        {
            var bad = right.ToArray();
            bad[7] = wrong;
            Assert.True(LadderCheck.Compare(bad, value, allowed) > 1);
        }

        ulong Key(int f) => (ulong)(BitConverter.SingleToUInt32Bits((float)value[f]) | 0x80000000) << 32 | ~(uint)f;
        var above = Enumerable.Range(0, value.Length).Where(f => value[f] > LadderProblem.Limit).ToArray();
        Assert.NotEmpty(above);
        ulong[] kept = [.. above.Select(Key)];
        Assert.Equal("", Fault(kept));
        Assert.Contains($"without column {above[0]}", Fault(kept[1..]));
        Assert.Contains("twice", Fault([.. kept, kept[0]]));
        var below = Array.FindIndex(value, v => v is > 0 and < 2);
        Assert.Contains("the limit is", Fault([.. kept, Key(below)]));

        string Fault(ulong[] candidates)
        {
            var fault = "";
            LadderCheck.CompareCandidates(1, candidates, value, allowed, ref fault);
            return fault;
        }
    }

    /// <summary>A rung's sentence is the first line of its file and occurs in docs/internals/ladder.md. Its shared
    /// memory matches its file.</summary>
    [Fact]
    public void SentencesMatchTheFiles()
    {
        var page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "internals", "ladder.md"));
        Assert.All(Rung.All,
            rung => Assert.Contains($"| [{rung.Name}](../../{rung.File}) | {rung.Sentence} | {rung.Block} |", page));
        foreach (var rung in Rung.All.Where(r => !r.Filters))
        {
            var text = File.ReadAllText(Path.Combine(Repository.Root, rung.File));
            var comment = text.Split('\n').TakeWhile(line => line.StartsWith("// ", StringComparison.Ordinal));
            Assert.Equal(rung.Sentence, string.Join(' ', comment.Select(line => line[3..])));
            Assert.Contains($"SAE_KERNEL({rung.Kernel}, LadderParams", text);
            var shared = Regex.Match(text, @"shared sizeof\(\w+\) = (\d+)");
            Assert.Equal(rung.SharedBytes, shared.Success ? int.Parse(shared.Groups[1].Value) : 0);
        }
    }

    [Theory]
    [InlineData("4096,768")]
    [InlineData("4096,768,x")]
    [InlineData("0,1,1")]
    public void InvalidShapesAreRefused(string shape) =>
        Assert.Contains("B,d,n", Assert.Throws<SaeException>(() => LadderCommand.Shape(shape, emulated: true)).Message);
}
