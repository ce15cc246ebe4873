using System.Diagnostics;
using System.Runtime.InteropServices;
using CudaSae.Backends.Cpu;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

[Trait("speed", "slow")]
public unsafe class CpuBackendTests
{
    /// <summary>Makes keys from few distinct numbers, so that the k-th and the next are often equal and the latent
    /// decides.</summary>
    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(7)]
    [InlineData(1)]
    public void CutKeepsTheLargestKeysInTheirOrder(int distinct)
    {
        var random = new Random(3);
        for (var round = 0; round < 400; round++)
        {
            var count = random.Next(2, 300);
            var k = random.Next(1, count + 1);
            ulong[] keys = [.. Enumerable.Range(0, count)
                .Select(f => (ulong)(uint)random.Next(distinct) << 32 | (uint)~f)],
            scratch = new ulong[count + 16];
            ulong[] expected = [.. keys.Index().OrderByDescending(one => one.Item).Take(k).OrderBy(one => one.Index)
                .Select(one => one.Item)];
            fixed (ulong* p = keys, s = scratch) Assert.Equal(expected.Min(), Largest.Keep(p, count, k, s));
            Assert.Equal(expected, keys[..k]);
        }
    }

    /// <summary>Runs the whole verifier in a process with instruction sets switched off, because .NET reads the
    /// switches at start.</summary>
    [Theory]
    [InlineData("DOTNET_EnableAVX512", "256-bit")]
    [InlineData("DOTNET_EnableAVX2", "128-bit|256-bit")]
    [InlineData("DOTNET_EnableHWIntrinsic", "128-bit")]
    public void NarrowerVectorsGiveTheSameResult(string knob, string expected)
    {
        var (code, output, error) = CliProgram.Run(Without(knob, CliProgram.Start("verify", "--backend", "cpu")));
        Assert.True(code == 0, output + error);
        Assert.Matches(expected, CliProgram.Run(Without(knob, CliProgram.Start("devices"))).Output);
    }

    static ProcessStartInfo Without(string knob, ProcessStartInfo start)
    {
        start.Environment[knob] = "0";
        if (knob == "DOTNET_EnableAVX512") start.Environment["DOTNET_EnableAVX512F"] = "0"; // the name before .NET 10
        return start;
    }

    [Fact]
    public void ThreadsDoNotChangeABit()
    {
        var (one, three) = (Weights(1), Weights(3));
        Assert.True(one.AsSpan().SequenceEqual(three));

        static float[] Weights(int threads)
        {
            var problem = new SmallProblem(rows: 130, width: 40, latents: 200, active: 7, new AuxLoss(16, 0.1f, 130));
            using var backend = new CpuBackend(problem.Spec, problem.Config, InputType.Float32, threads);
            backend.SetParameters(problem.Parameters);
            var step = new SaeStep(backend);
            for (uint t = 1; t <= 10; t++)
            {
                MemoryMarshal.AsBytes<float>(problem.Batch()).CopyTo(backend.InputSlot(0));
                step.Run(0, problem.Scalars(t));
            }
            backend.GetParameters(problem.Parameters);
            return [.. Enumerable.Range(0, 200)
                .SelectMany(f => problem.Parameters.WDec[f].ToArray().Concat(problem.Parameters.WEnc[f].ToArray()))];
        }
    }

    public static TheoryData<string> Rows => ["equal", "nan", "infinite", "zeros of both signs", "ascending", "huge"];

    /// <summary>Selects where rounding has no effect: b_enc sets the pre-activations, with WEnc = 0.</summary>
    [Theory]
    [MemberData(nameof(Rows))]
    public void SelectionIsExact(string kind)
    {
        // in the last two, the first 256 and 320 set the limits
        foreach (var (n, k) in new[] { (500, 1), (500, 20), (131, 131), (40, 7), (600, 1), (1030, 20) })
        {
            var spec = new SaeSpec { InputWidth = 8, Latents = n, Selection = new Selection.TopK(k) };
            using var backend = new CpuBackend(spec, new() { BatchRows = 3, Vectors = 3 }, InputType.Float32, 2);
            using var parameters = new SaeParameters(spec);
            for (var f = 0; f < n; f++)
                parameters.BEnc[f] = kind switch
                {
                    "equal" => 1,
                    "nan" => f % 3 == 0 ? float.NaN : f % 7,
                    "infinite" => f % 5 == 0 ? float.PositiveInfinity : f % 5 == 1 ? float.NegativeInfinity : f,
                    "zeros of both signs" => f % 2 == 0 ? 0f : -0f,
                    "ascending" => f,
                    _ => f == 17 ? 1e38f : -f,
                };
            backend.SetParameters(parameters);
            backend.InputSlot(0).Clear();
            backend.BeginStep(0, new() { Step = 1, InputScale = 1 });
            backend.Prepare();
            backend.EncodeSelect();
            var code = new SparseCode(3, k);
            backend.ReadCode(code);
            var expected = Reference.Largest(Array.ConvertAll(parameters.BEnc, b => (double)b), k);
            for (var b = 0; b < 3; b++)
            {
                Assert.Equal(expected, code.Index[(b * k)..((b + 1) * k)]);
                for (var j = 0; j < k; j++)
                {
                    var a = parameters.BEnc[expected[j]];
                    Assert.Equal(a > 0 ? a : 0, code.Value[b * k + j]);
                }
            }
        }
    }
}

/// <summary>These tests run alone, because allocations of other tests would count.</summary>
[Collection("alone")]
[Trait("speed", "slow")]
public class CpuAllocationTests
{
    /// <summary>Cases that together cover every phase: AuxK, both paths, gate, nested losses, ghosts, skip
    /// connection.</summary>
    [Theory]
    [InlineData("aux, chosen of the dead")]
    [InlineData("gated, live decoder, L1 by norm, dense")]
    [InlineData("gated, matryoshka, live decoder, dense")]
    [InlineData("jumprelu, tanh and pre-activation loss")]
    [InlineData("matryoshka")]
    [InlineData("relu, ghosts")]
    [InlineData("transcoder, skip, gated")]
    public void StepsAllocateNothing(string name)
    {
        var verify = VerifyCase.All.Single(c => c.Name == name);
        var problem = verify.Problem();
        using var backend = new CpuBackend(problem.Spec, problem.Config, InputType.Float32, 2);
        backend.SetParameters(problem.Parameters);
        backend.Dense = verify.Dense;
        var step = new SaeStep(backend);
        MemoryMarshal.AsBytes<float>(problem.Batch()).CopyTo(backend.InputSlot(0));
        for (uint t = 1; t <= 5; t++) step.Run(0, problem.Scalars(t));
        uint next = 6;
        var allocated = Allocations.LeastOf(() =>
        {
            for (var i = 0; i < 20; i++) step.Run(0, problem.Scalars(next++));
        });
        Assert.InRange(allocated, 0, 2000);
    }
}
