using System.Runtime.InteropServices;
using CudaSae.Backends.Cpu;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The results of a few steps on the CPU.</summary>
/// <param name="State">Bytes of each array; of arrays by latent, those of all latents.</param>
/// <param name="Steps">What each step gives, as text: the sums, the firings, and the entries of the code that
/// fire.</param>
/// <param name="Sums">The sums of each step.</param>
sealed record ShardedRun(Dictionary<string, byte[]> State, List<string> Steps, List<StepSums> Sums)
{
    /// <summary>Compares all results of ranks on threads with those of one process.</summary>
    public static void RequireBitsOfOneProcess(VerifyCase c, int ranks)
    {
        var one = Of(c, null);
        foreach (var rank in RankThreads.Run(ranks, collective => Of(c, collective)))
        {
            Assert.Equal(one.Steps, rank.Steps);
            Assert.Equal(one.State.Keys, rank.State.Keys);
            foreach (var (array, bytes) in one.State)
                Assert.True(bytes.AsSpan().SequenceEqual(rank.State[array]), $"{array} differs");
        }
    }

    /// <summary>Runs the steps of a case, as one process or as one of the ranks.</summary>
    public static ShardedRun Of(VerifyCase c, ICollective? ranks, SumOrder order = SumOrder.Chain)
    {
        var problem = c.Problem();
        var spec = problem.Spec;
        var shard = ranks is null ? null : new ShardPlan(ranks, spec, order);
        using var backend = new CpuBackend(spec, problem.Config, InputType.Float32, 2, shard);
        using var own = shard is null ? problem.Parameters : OwnLatents.Rows(problem.Parameters, shard);
        backend.Dense = c.Dense;
        backend.SetParameters(own);
        var step = new SaeStep(backend);
        var code = new SparseCode(problem.Config.BatchRows, spec.Active);
        var firings = new int[spec.Latents];
        // The large steps of the cases with SGD diverge soon.
        var more = c.Adjust is null && c.Config.Optimizer != OptimizerKind.Sgd ? 2 : 0;
        var (steps, all) = (new List<string>(), new List<StepSums>());
        for (uint t = 1; t <= c.Steps + more; t++)
        {
            var scalars = problem.Scalars(t, c.LearningRate, c.DeadAfterSteps);
            c.Adjust?.Invoke(ref scalars);
            SmallProblem.Feed(backend, (int)(t & 1), problem.Batch());
            step.Run((int)(t & 1), scalars);
            var sums = backend.ReadSums();
            all.Add(sums);
            backend.ReadFirings(firings);
            steps.Add(Convert.ToHexString(MemoryMarshal.AsBytes(new ReadOnlySpan<StepSums>(ref sums))));
            steps.Add(string.Join(' ', firings));
            if (sums.Dense == 1) continue;
            backend.ReadCode(code);
            steps.Add(string.Join(' ', Enumerable.Range(0, code.Value.Length).Where(e => code.Value[e] != 0)
                .Select(e => $"{e / code.Active}:{code.Index[e]}={code.Value[e]:R}")));
        }
        return new(backend.State.ToDictionary(a => a.Name, a => Whole(backend, a, shard)), steps, all);
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
