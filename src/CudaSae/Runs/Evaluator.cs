using System.Text.Json.Serialization;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae.Runs;

/// <summary>An SAE on held-out rows. y is what the decoder predicts: x unless transcoding.</summary>
/// <param name="Rows">That were looked at.</param>
/// <param name="Fvu">Σ‖x̂ − y‖² / Σ‖y − ȳ‖²: sums over all rows, then one division; ȳ is their mean. Null where all
/// rows are equal: they have no variance.</param>
/// <param name="L0">Mean count of values ≠ 0 a row.</param>
/// <param name="SilentPercent">Latents that fired on none of the rows.</param>
/// <param name="Cosine">Mean of ⟨x̂, y⟩ / ‖x̂‖‖y‖.</param>
/// <param name="Shrinkage">γ = Σ‖x̂‖² / Σ⟨x̂, y⟩: below 1, reconstructions are too short (Rajamanoharan et al. 2024).
/// Null where Σ⟨x̂, y⟩ is 0.</param>
sealed record Evaluation(long Rows, double? Fvu, double L0, double SilentPercent, double Cosine,
    double? Shrinkage)
{
    /// <summary>Further rows, which were left out for NaN or infinity.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public long LeftOut { get; init; }

    /// <summary>FVU over the numbers of each of a crosscoder's sites, in their order; null for other SAEs.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double?[]? SiteFvu { get; init; }
}

/// <summary>Runs the forward half of a backend over rows of a source, but for those that hold NaN or infinity. Weights
/// do not change.</summary>
static class Evaluator
{
    public static Evaluation Run(IBackend backend, ActivationSource source, long firstRow, long rows, DataScale scale)
    {
        var spec = backend.Spec;
        Require(spec, source, rows);
        int B = backend.Config.BatchRows, D = spec.OutputWidth, first = spec.Transcoder is null ? 0 : spec.InputWidth;
        var targetScale = spec.Transcoder is null ? scale.InputScale : scale.TargetScale;
        var reconstruction = new float[B * D];
        var step = new SaeStep(backend);
        var scalars = Schedules.Inference(spec, backend.Config, scale);
        var total = new EvaluationTotals(D, spec.Latents, spec.Sites);
        var row = new float[source.Width];
        using var cut = CutRows.Of(backend);
        var dense = backend.Dense;
        backend.Dense = false; // a trained code is sparse; where it is not, the batch finds the dense path by itself
        var numbers = new long[B];
        var (next, leftOut) = (firstRow, 0L);
        while (Fill(backend, source, numbers, firstRow + rows, ref next, ref leftOut) is > 0 and var count)
        {
            step.Evaluate(0, scalars);
            backend.ReadReconstruction(reconstruction);
            cut?.Restore(source, numbers.AsSpan(0, count), scale.InputScale, reconstruction, total);
            for (var b = 0; b < count; b++)
            {
                source.ReadRow(numbers[b], row);
                total.Add(row.AsSpan(first, D), targetScale, reconstruction.AsSpan(b * D, D));
            }
            total.AddFirings(backend, 1);
            if (count == B) continue;
            Repeat(backend, source, numbers[0], 0);                     // and what filled the batch up is taken back
            step.Evaluate(0, scalars);
            total.AddFirings(backend, -(B - count) / (double)B);
        }
        backend.Dense = dense;
        return leftOut < rows ? total.Finish(leftOut)
            : throw Finite.NoneOf(rows, source.Paths.FirstOrDefault("the data"));
    }

    /// <summary>The next finite rows into the slot; a last, shorter batch is filled up with its first row.</summary>
    /// <param name="numbers">[B], set to the rows.</param>
    /// <param name="next">Where to go on.</param>
    /// <returns>How many they are.</returns>
    static int Fill(IBackend backend, ActivationSource source, long[] numbers, long end, ref long next,
        ref long leftOut)
    {
        backend.WaitForSlot(0);
        var slot = backend.InputSlot(0);
        var count = 0;
        for (; count < numbers.Length && next < end; next++)
        {
            var into = slot.Slice(count * source.RowBytes, source.RowBytes);
            source.Read(next, into);
            if (Finite.All(into, source.Type)) numbers[count++] = next;
            else leftOut++;
        }
        if (count > 0 && count < numbers.Length) Repeat(backend, source, numbers[0], count);
        return count;
    }

    /// <summary>One row into the slot's places from <paramref name="from"/> on.</summary>
    static void Repeat(IBackend backend, ActivationSource source, long row, int from)
    {
        backend.WaitForSlot(0);
        var slot = backend.InputSlot(0);
        for (var b = from; b < backend.Config.BatchRows; b++)
            source.Read(row, slot.Slice(b * source.RowBytes, source.RowBytes));
    }

    /// <summary>A loaded SAE on raw rows, whatever normalization it carries and however long its codes are.</summary>
    public static Evaluation Run(Sae sae, ActivationSource source, long firstRow, long rows)
    {
        Require(sae.Spec, source, rows);
        var total = EvaluationTotals.For(sae);
        return total.Finish(CodePass.Run(sae, source, firstRow, rows, total));
    }

    static void Require(SaeSpec spec, ActivationSource source, long rows)
    {
        if (source.Width != spec.RowWidth)
            throw new SaeException($"the data are {source.Width} wide, the SAE takes {spec.RowWidth}");
        if (rows < 1)
            throw new SaeException("there are no held-out rows to evaluate; give --held-out N, or a second file");
    }
}
