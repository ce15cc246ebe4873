using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Training;

/// <summary>Performs a <see cref="Resampling"/> on the host between two steps. Several ranks do it alike, each for its
/// own latents.</summary>
sealed class Resampler(IBackend backend, ActivationSource source, long trainRows, DataScale scale)
{
    const ulong RowDraw = 0x726f77, LatentDraw = 0x6c6174;     // streams of random numbers

    readonly SaeSpec spec = backend.Spec;
    readonly ShardPlan? shard = backend.Shard;
    readonly TrainConfig config = backend.Config;

    /// <summary>Resamples after step t, while no input slot is in use.</summary>
    /// <returns>The number of latents that were resampled, and the number that were dead but protected.</returns>
    public (int Resampled, int Protected) Run(long step, SaeStep evaluator)
    {
        var resampling = config.Resampling!;
        var dead = DeadLatents(backend, step);
        var chosen = dead.Where(f => !resampling.IsProtected(config.Seed, f)).ToArray();
        if (chosen.Length == 0) return (0, dead.Length);
        var (rows, cumulative) = MeasureLosses(step, resampling, evaluator);
        using var weights = new SaeParameters(OwnLatents.Of(spec, shard));
        backend.GetParameters(weights);
        var norm = (float)(resampling.EncoderNorm * MeanNorm(weights, dead));
        using var fresh = new SaeParameters(spec with
        {
            Latents = chosen.Length,
            Nested = null,
            Selection = Fitting(chosen.Length)
        });
        for (var i = 0; i < chosen.Length; i++)
        {
            var at = Array.BinarySearch(cumulative,
                CounterRandom.Uniform(config.Seed, (ulong)step, LatentDraw, (ulong)i) * cumulative[^1]);
            Direct(rows[Math.Min(at < 0 ? ~at : at + 1, rows.Length - 1)], i, fresh, weights, norm);
        }
        backend.ResetLatents(chosen, fresh, (uint)step);
        return (chosen.Length, dead.Length - chosen.Length);
    }

    // Only the shapes of the rows matter, so any selection of the same kind that is valid for a few latents suffices.
    Selection Fitting(int count) => spec.Selection switch
    {
        Selection.TopK => new Selection.TopK(1),
        Selection.AbsTopK => new Selection.AbsTopK(1),
        Selection.BatchTopK => new Selection.BatchTopK(1),
        Selection.GroupMax => new Selection.GroupMax(1),
        var own => own,
    };

    /// <summary>Returns the latents that have not fired for the resampling's window, including protected
    /// ones.</summary>
    internal static int[] DeadLatents(IBackend backend, long step)
    {
        var array = backend.State.Single(a => a.Name == "last_fired");
        var lastFired = new int[backend.Spec.Latents];
        var own = lastFired.AsSpan(backend.Shard?.First ?? 0, (int)array.Shape[0]);
        backend.ReadState(array, 0, MemoryMarshal.AsBytes(own));
        backend.Shard?.Collective.AllGather(lastFired.AsSpan(), backend.Shard.LatentStarts());
        return [.. Enumerable.Range(0, lastFired.Length)
            .Where(f => step - lastFired[f] >= backend.Config.Resampling!.Window)];
    }

    /// <summary>Draws rows at random and returns them with the running sums of their squared losses.</summary>
    (long[] Rows, double[] Cumulative) MeasureLosses(long step, Resampling resampling, SaeStep evaluator)
    {
        var B = config.BatchRows;
        var batches = (int)Math.Max(1, Math.Min(resampling.Inputs, trainRows) / B);
        var rows = new long[batches * B];
        var cumulative = new double[rows.Length];
        var errors = new float[B];
        var scalars = Schedules.Scalars(spec, config, scale, step);
        double sum = 0;
        for (var batch = 0; batch < batches; batch++)
        {
            backend.WaitForSlot(0);
            var slot = backend.InputSlot(0);
            for (var b = 0; b < B; b++)
                rows[batch * B + b] = DrawRow(step, batch * B + b, slot.Slice(b * source.RowBytes, source.RowBytes));
            evaluator.Evaluate(0, scalars);
            backend.ReadRowErrors(errors);
            for (var b = 0; b < B; b++) cumulative[batch * B + b] = sum += (double)errors[b] * errors[b];
        }
        return (rows, cumulative);
    }

    /// <summary>Reads a finite row: the drawn one, or the next one after it.</summary>
    long DrawRow(long step, int number, Span<byte> into)
    {
        var row = (long)(CounterRandom.Uniform(config.Seed, (ulong)step, RowDraw, (ulong)number) * trainRows);
        for (; ; row = (row + 1) % trainRows)
        {
            source.Read(row, into);
            if (Finite.All(into, source.Type)) return row;
        }
    }

    double MeanNorm(SaeParameters weights, int[] dead)
    {
        var norms = new double[spec.Latents];
        for (var f = 0L; f < weights.WEnc.Rows; f++) norms[(shard?.First ?? 0) + f] = Matrix.Norm(weights.WEnc[f]);
        shard?.Collective.AllGather(norms.AsSpan(), shard.LatentStarts());
        var isDead = new HashSet<int>(dead);
        double sum = 0;
        var count = 0;
        for (var f = 0; f < spec.Latents; f++)
        {
            if (isDead.Contains(f)) continue;
            sum += norms[f];
            count++;
        }
        return count > 0 ? sum / count : 1;
    }

    /// <summary>Sets the rows of a latent from a data row: the decoder row gets the direction of the target from b_dec,
    /// the encoder row the direction of the input with the given norm. The bias is 0.</summary>
    void Direct(long row, int i, SaeParameters fresh, SaeParameters weights, float norm)
    {
        var raw = new float[spec.RowWidth];
        source.ReadRow(row, raw);
        var target = spec.Transcoder is null ? 0 : spec.InputWidth;
        var targetScale = (float)(spec.Transcoder is null ? scale.InputScale : scale.TargetScale);
        for (var c = 0; c < spec.OutputWidth; c++) fresh.WDec[i][c] = raw[target + c] * targetScale - weights.BDec[c];
        for (var c = 0; c < spec.InputWidth; c++)
            fresh.WEnc[i][c] = raw[c] * (float)scale.InputScale - (spec.PreEncoderBias ? weights.BDec[c] : 0);
        Rescale(fresh.WDec[i], 1);
        Rescale(fresh.WEnc[i], norm);
        if (spec.Selection is Selection.JumpRelu jump) fresh.Threshold[i] = jump.InitialThreshold;
        if (spec.Tying == Tying.Tied) fresh.WDec[i].CopyTo(fresh.WEnc[i]);
        if (spec.Tying != Tying.Scaled) return;
        fresh.Scale[i] = norm;
        for (var c = 0; c < spec.InputWidth; c++) fresh.WEnc[i][c] = norm * fresh.WDec[i][c];
    }

    static void Rescale(Span<float> row, float norm)
    {
        var factor = (float)(norm / Math.Max(Matrix.Norm(row), 1e-30));
        foreach (ref var v in row) v *= factor;
    }
}
