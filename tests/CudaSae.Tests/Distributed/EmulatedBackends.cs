using System.Runtime.InteropServices;
using CudaSae.Backends.Kernels;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Backends on the kernels for the ranks of <see cref="EmulatorRanks"/>.</summary>
static class EmulatedBackends
{
    /// <summary>Makes the backend of a rank, on its emulated device.</summary>
    /// <param name="chunks">Number of row chunks (<see cref="ShardPlan.RowChunks"/>).</param>
    public static KernelBackend Create(EmulatedRank rank, SaeSpec spec, TrainConfig config, int capacity = 2048,
        int chunks = 1) =>
        new(rank.OpenDevice(), spec, config, InputType.Float32, ownsDevice: true,
            new KernelVariant { EncodeCapacity = capacity },
            shard: rank.Size == 1 ? null : new(rank.Collective, spec, SumOrder.Ordered) { RowChunks = chunks });

    /// <summary>What a few steps give on a rank.</summary>
    /// <param name="Sums">The bytes of the sums of each step.</param>
    /// <param name="State">The bytes of each array of the rank's state.</param>
    /// <param name="Dense">Whether each step took the dense path.</param>
    public sealed record Outcome(byte[][] Sums, byte[][] State, bool[] Dense);

    /// <summary>Runs steps of a case on a rank.</summary>
    /// <param name="replay">Whether steps are recorded and replayed; otherwise each kernel is launched.</param>
    /// <param name="capacity">Candidates of a row beyond which the encoder takes its exact fallback.</param>
    /// <param name="chunks">Number of row chunks (<see cref="ShardPlan.RowChunks"/>).</param>
    public static Outcome Run(EmulatedRank rank, VerifyCase c, uint steps, bool replay, int capacity = 2048,
        int chunks = 1)
    {
        var problem = c.Problem();
        using var backend = Create(rank, problem.Spec, problem.Config, capacity, chunks);
        using var own = OwnLatents.Rows(problem.Parameters, backend.Shard!);
        backend.Dense = c.Dense;
        backend.SetParameters(own);
        var step = new SaeStep(backend);
        var (sums, dense) = (new byte[steps][], new bool[steps]);
        for (uint t = 1; t <= steps; t++)
        {
            var slot = (int)(t & 1);
            var scalars = problem.Scalars(t, c.LearningRate, c.DeadAfterSteps);
            c.Adjust?.Invoke(ref scalars);
            SmallProblem.Feed(backend, slot, problem.Batch());
            if (replay) step.Run(slot, scalars);
            else Launch(backend, slot, scalars);
            var measured = backend.ReadSums();
            (sums[t - 1], dense[t - 1]) = (Bytes(measured), measured.Dense == 1);
        }
        return new(sums, [.. backend.State.Select(array => States.Of(backend, array))], dense);
    }

    /// <summary>Requires the same outcomes of two runs, and the same sums on all ranks of a run.</summary>
    public static void RequireSame(Outcome[] expected, Outcome[] actual)
    {
        foreach (var (one, other) in expected.Zip(actual))
        {
            Assert.Equal(expected[0].Sums, one.Sums);
            Assert.Equal(one.Sums, other.Sums);
            Assert.Equal(one.State, other.State);
        }
    }

    static void Launch(KernelBackend backend, int slot, in StepScalars scalars)
    {
        backend.BeginStep(slot, scalars);
        backend.Prepare();
        backend.EncodeSelect();
        SaeStep.AfterEncoding(backend);
    }

    static byte[] Bytes(StepSums sums) => MemoryMarshal.AsBytes(new ReadOnlySpan<StepSums>(in sums)).ToArray();
}
