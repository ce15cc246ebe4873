using System.Runtime.InteropServices;
using CudaSae.Backends.Kernels;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>A replayed step equals the recorded step, even where a batch switches to another path in the middle of
/// it.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class GraphTests
{
    const uint Steps = 4;

    /// <summary>Cases that cover each kind of state that a step changes.</summary>
    public static TheoryData<string> Thresholded =>
    [
        "relu, L1, unit decoder, no pre-encoder bias", "relu, L1 by decoder norm", "relu, aux", "relu, ghosts",
        "gated, no rescaling, clip by row", "jumprelu, adaptive bandwidth",
        "jumprelu, pre-activation loss of the dead", "jumprelu, matryoshka", "gated, random prefixes, skip",
        "relu, scaled tie",
    ];

    [Theory]
    [MemberData(nameof(Thresholded))]
    public void AnOverfullBatchTakesTheDensePathInAGraph(string name)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var c = VerifyCase.All.Single(c => c.Name == name);
        var entries = Run(c, c.Spec, replay: false, seed: 0).Entries;
        var half = c.Spec with
        {
            Selection = WithRoom(c.Spec.Selection, entries.Order().ElementAt(entries.Length / 2))
        };
        var launched = Run(c, half, replay: false, seed: 0);
        Assert.Contains(launched.Sums, sums => sums.Dense != 0 && sums.Overflows > 0);
        Assert.Contains(launched.Sums.Skip(1), sums => sums.Dense == 0);
        AssertSame(launched, Run(c, half, replay: true, seed: 7));
    }

    [Theory]
    [InlineData("relu, L1 by decoder norm, dense")]
    [InlineData("jumprelu, matryoshka, dense")]
    [InlineData("gated, random prefixes, skip, dense")]
    [InlineData("clip by the previous norm")]
    [InlineData("aux, chosen of the dead")]
    [InlineData("batch top-k")]
    public void AReplayedStepEqualsTheRecordedOne(string name)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var c = VerifyCase.All.Single(c => c.Name == name);
        AssertSame(Run(c, c.Spec, replay: false, seed: 0), Run(c, c.Spec, replay: true, seed: 7));
    }

    /// <summary>Every read waits until the last step is settled. The last step of the run is one that takes the dense
    /// path late.</summary>
    [Fact]
    public void EveryReadReturnsTheSettledStep()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var c = VerifyCase.All.Single(c => c.Name == "relu, L1 by decoder norm");
        var spec = c.Spec with { Selection = WithRoom(c.Spec.Selection, 8) };
        Action<KernelBackend>[] reads =
        [
            b =>
                Assert.NotEqual(0, b.ReadSums().Dense), b =>
                    Assert.Throws<SaeException>(() => b.ReadCode(new(c.Rows, 8))), b =>
                        b.ReadRowErrors(new float[c.Rows]),
            b =>
                b.ReadReconstruction(new float[c.Rows * spec.InputWidth]), b =>
                    b.ReadFirings(new int[spec.Latents]), b => b.GetParameters(new(spec)),
            b => b.ReadState(b.State[0], 0, new byte[8]), b => b.ResetLatents([], new(spec), Steps),
        ];
        var expected = Run(c, spec, replay: false, seed: 0).State;
        foreach (var read in reads) Assert.Equal(expected, Run(c, spec, replay: true, seed: 3, read).State);
    }

    /// <summary>Recording a step launches nothing, and does not change the step before it.</summary>
    [Fact]
    public void RecordingAStepKeepsItsPath()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var c = VerifyCase.All.Single(c => c.Name == "relu, L1 by decoder norm");
        var problem = (c with { Spec = c.Spec with { Selection = WithRoom(c.Spec.Selection, 8) } }).Problem();
        using var backend = new KernelBackend(Targets.OpenEmulator(), problem.Spec, problem.Config, InputType.Float32,
            ownsDevice: true)
        { Dense = false };
        backend.SetParameters(problem.Parameters);
        MemoryMarshal.AsBytes<float>(problem.Batch()).CopyTo(backend.InputSlot(0));
        new SaeStep(backend).Run(0, problem.Scalars(1));
        Assert.True(backend.IsRecorded);
        Assert.NotEqual(0, backend.ReadSums().Dense);
        Assert.Throws<SaeException>(() => backend.ReadCode(new(c.Rows, 8)));
    }

    sealed record Outcome(StepSums[] Sums, int[] Entries, byte[] State);

    static Outcome Run(VerifyCase c, SaeSpec spec, bool replay, int seed, Action<KernelBackend>? first = null)
    {
        var problem = (c with { Spec = spec }).Problem();
        Targets.Emulator.SetSeed((ulong)seed);
        using var backend = new KernelBackend(Targets.OpenEmulator(), spec, problem.Config, InputType.Float32,
            ownsDevice: true)
        { Dense = c.Dense };
        backend.SetParameters(problem.Parameters);
        var (order, sums, entries) = (new SaeStep(backend), new StepSums[Steps], new int[Steps]);
        for (uint t = 1; t <= Steps; t++)
        {
            var slot = (int)(t & 1);
            var scalars = problem.Scalars(t, c.LearningRate, c.DeadAfterSteps);
            c.Adjust?.Invoke(ref scalars);
            SmallProblem.Feed(backend, slot, problem.Batch());
            if (replay) order.Run(slot, scalars);
            else
            {
                backend.BeginStep(slot, scalars);
                backend.Prepare();
                backend.EncodeSelect();
                SaeStep.AfterEncoding(backend);
                sums[t - 1] = backend.ReadSums();
                if (!c.Dense && sums[t - 1].Dense == 0) entries[t - 1] = Longest(backend, spec);
            }
            if (replay && t > 1) sums[t - 2] = backend.ReadEarlierSums();       // which does not wait for this step
        }
        if (replay) Assert.Equal(!(c.Dense && spec.Nested is Nesting.Prefixes { Random: true }), backend.IsRecorded);
        first?.Invoke(backend);
        var state = States.Bytes(backend);
        sums[^1] = backend.ReadSums();
        return new(sums, entries, state);
    }

    static int Longest(KernelBackend backend, SaeSpec spec)
    {
        var code = new SparseCode(backend.Config.BatchRows, spec.Active);
        backend.ReadCode(code);
        return code.Index.Chunk(spec.Active).Max(row => row.Count(index => index >= 0));
    }

    static Selection WithRoom(Selection selection, int room) => selection switch
    {
        Selection.Relu s => s with { Room = room },
        Selection.JumpRelu s => s with { Room = room },
        Selection.Gated s => s with { Room = room },
        _ => throw new ArgumentException($"{selection} has no capacity"),
    };

    static void AssertSame(Outcome expected, Outcome actual)
    {
        for (var t = 0; t < Steps; t++) Assert.Equal(Bytes(expected.Sums[t]), Bytes(actual.Sums[t]));
        Assert.True(expected.State.AsSpan().SequenceEqual(actual.State));
    }

    static byte[] Bytes(StepSums sums) => MemoryMarshal.AsBytes(new ReadOnlySpan<StepSums>(in sums)).ToArray();
}
