using System.Runtime.InteropServices;
using System.Text.Json;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Files.Zip;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Training;

/// <summary>What the ranks of a run agree on between two steps. Without ranks the answers are those of one
/// process.</summary>
static class StepAgreement
{
    const long StopsEvery = 16;             // steps between two agreements that wait for the device
    const long SameRowsEvery = 1000;        // steps between two comparisons of the ranks' rows

    /// <summary>Returns whether a run is cancelled, on any rank. Ranks agree before each step, or before every 16th
    /// one if that waits for the device.</summary>
    /// <param name="step">The last step that was taken.</param>
    public static bool Stops(IBackend backend, long step, CancellationToken cancellation)
    {
        var stops = cancellation.IsCancellationRequested;
        if (backend.Shard is not { Collective: var ranks }) return stops;
        return (!ranks.WaitsForDevice || step % StopsEvery == 0) && ranks.Max(stops ? 1 : 0) > 0;
    }

    /// <summary>Compares the data of the ranks before the first step, if each rank reads a share of them. Batches are
    /// then equal on all ranks, also where files differ.</summary>
    /// <param name="fingerprint">Returns the fingerprint of the training rows.</param>
    /// <exception cref="SaeException">The data differ.</exception>
    public static void RequireSameData(IBackend backend, Func<DataFingerprint> fingerprint)
    {
        if (backend.Shard is not { SharedReading: true, Collective: var ranks }) return;
        var text = JsonSerializer.SerializeToUtf8Bytes(fingerprint(), CheckpointJson.Compact.DataFingerprint);
        RequireSame(ranks, Crc32.Append(0, text), "before the first step");
    }

    /// <summary>Compares a checksum of a batch on all ranks, at the first step of the process and then every 1000
    /// steps.</summary>
    /// <param name="slot">The slot of the batch. Rows in a pool on the device, and rows of which a rank reads a share,
    /// are compared after the step (<see cref="RequireSameTargets"/>).</param>
    /// <param name="step">The step that reads the batch, from 1.</param>
    /// <param name="first">Whether it is the first step of the process.</param>
    /// <exception cref="SaeException">The ranks read different rows.</exception>
    public static void RequireSameRows(IBackend backend, int slot, long step, bool first)
    {
        if (backend.Shard is not { } shard) return;
        shard.Collective.AtStep(step);
        if (IsDue(step, first) && !IsLate(shard, slot))
            RequireSame(shard.Collective, Crc32.Append(0, backend.InputSlot(slot)), $"at step {step}");
    }

    /// <summary>Compares a checksum of the target of the last step on all ranks, if its rows came from a pool on the
    /// device, or from all ranks. It waits for the step.</summary>
    /// <param name="slot">The slot of the batch.</param>
    /// <inheritdoc cref="RequireSameRows"/>
    public static void RequireSameTargets(IBackend backend, int slot, long step, bool first)
    {
        if (backend.Shard is not { } shard || !IsLate(shard, slot) || !IsDue(step, first)) return;
        var target = new float[(long)backend.Config.BatchRows * backend.Spec.OutputWidth];
        backend.ReadTarget(target);
        RequireSame(shard.Collective, Crc32.Append(0, MemoryMarshal.AsBytes(target.AsSpan())), $"at step {step}");
    }

    static bool IsDue(long step, bool first) => first || step % SameRowsEvery == 1;

    static bool IsLate(ShardPlan shard, int slot) => shard.SharedReading || slot >= IRowPool.FirstSlot;

    static void RequireSame(ICollective ranks, long sum, string when)
    {
        Span<long> extremes = [sum, -sum];
        ranks.Max(extremes);
        if (extremes[0] != -extremes[1])
            throw new SaeException($"the ranks read different rows {when}: their data files differ; copy the "
                + "same files to all machines", kind: SaeErrorKind.Files);
    }
}
