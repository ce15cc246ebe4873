using System.Runtime.InteropServices;
using CudaSae.Backends.Cpu;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Several ranks on the CPU give the bits of one process: weights, moments, counters, sums, codes and firings,
/// for every case that verify compares with the reference.</summary>
public class ShardedStepTests
{
    /// <summary>The results of a run.</summary>
    /// <param name="State">Bytes of each array; of arrays by latent, those of all latents.</param>
    /// <param name="Steps">What each step gives: the sums, the code's entries that fire, and the firings.</param>
    sealed record Outcome(Dictionary<string, byte[]> State, List<string> Steps);

    public static TheoryData<string, int> Cases()
    {
        var data = new TheoryData<string, int>();
        foreach (var c in VerifyCase.All)
            foreach (var ranks in new[] { 2, 3 }) data.Add(c.Name, ranks);
        return data;
    }

    [Theory, MemberData(nameof(Cases))]
    public void RanksGiveTheBitsOfOneProcess(string name, int ranks)
    {
        var c = Widened(VerifyCase.All.Single(c => c.Name == name), ranks);
        var one = Run(c, null);
        var all = RankThreads.Run(ranks, collective => Run(c, collective));
        foreach (var rank in all)
        {
            Assert.Equal(one.Steps, rank.Steps);
            Assert.Equal(one.State.Keys, rank.State.Keys);
            foreach (var (array, bytes) in one.State)
                Assert.True(bytes.AsSpan().SequenceEqual(rank.State[array]), $"{array} differs");
        }
    }

    /// <summary>Makes a case large enough to be divided: a rank has 512 latents or more of a thresholded
    /// selection.</summary>
    static VerifyCase Widened(VerifyCase c, int ranks) => !c.Spec.IsThresholded ? c : c with
    {
        Spec = c.Spec with
        {
            Latents = 512 * ranks,
            Selection = c.Spec.Selection switch
            {
                Selection.Relu relu => relu with { Room = 512 * ranks },
                Selection.JumpRelu jump => jump with { Room = 512 * ranks },
                Selection.Gated gated => gated with { Room = 512 * ranks },
                var other => other,
            },
        },
    };

    static Outcome Run(VerifyCase c, ICollective? ranks)
    {
        var problem = new SmallProblem(c.Spec, c.Rows, c.Config);
        var spec = problem.Spec;
        var shard = ranks is null ? null : new ShardPlan(ranks, spec);
        using var backend = new CpuBackend(spec, problem.Config, InputType.Float32, 2, shard);
        using var own = shard is null ? problem.Parameters : OwnLatents.Rows(problem.Parameters, shard);
        backend.Dense = c.Dense;
        backend.SetParameters(own);
        var step = new SaeStep(backend);
        var code = new SparseCode(problem.Config.BatchRows, spec.Active);
        var firings = new int[spec.Latents];
        var steps = new List<string>();
        for (uint t = 1; t <= c.Steps + (c.Adjust is null ? 2 : 0); t++)
        {
            var scalars = problem.Scalars(t, c.LearningRate, c.DeadAfterSteps);
            c.Adjust?.Invoke(ref scalars);
            SmallProblem.Feed(backend, (int)(t & 1), problem.Batch());
            step.Run((int)(t & 1), scalars);
            var sums = backend.ReadSums();
            backend.ReadFirings(firings);
            steps.Add(Convert.ToHexString(MemoryMarshal.AsBytes(new ReadOnlySpan<StepSums>(ref sums))));
            steps.Add(string.Join(' ', firings));
            if (sums.Dense == 1) continue;
            backend.ReadCode(code);
            steps.Add(string.Join(' ', Enumerable.Range(0, code.Value.Length).Where(e => code.Value[e] != 0)
                .Select(e => $"{e / code.Active}:{code.Index[e]}={code.Value[e]:R}")));
        }
        return new(backend.State.ToDictionary(a => a.Name, a => Whole(backend, a, shard)), steps);
    }

    /// <summary>Returns the bytes of an array, of all ranks' latents.</summary>
    static byte[] Whole(CpuBackend backend, StateArray array, ShardPlan? shard)
    {
        if (shard is null || !array.ByLatent)
        {
            var bytes = new byte[array.Bytes];
            backend.ReadState(array, 0, bytes);
            return bytes;
        }
        var size = array.Bytes / array.Shape[0];
        var all = new byte[size * shard.Spec.Latents];
        backend.ReadState(array, 0, all.AsSpan((int)(shard.First * size), (int)array.Bytes));
        shard.Collective.AllGather(all.AsSpan(), shard.LatentStarts(size));
        return all;
    }
}
