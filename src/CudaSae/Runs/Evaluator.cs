using System.Text.Json.Serialization;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae.Runs;

/// <summary>The measures of an SAE on held-out rows. The target y of the decoder is x, except in a
/// transcoder.</summary>
/// <param name="Rows">Number of rows measured.</param>
/// <param name="Fvu">Σ‖x̂ − y‖² / Σ‖y − ȳ‖², the fraction of variance unexplained: both sums are over all rows, and ȳ
/// is the mean of y; null if all rows are equal.</param>
/// <param name="L0">Mean number of nonzero values per row.</param>
/// <param name="SilentPercent">Percentage of latents that fired on none of the rows.</param>
/// <param name="Cosine">Mean of ⟨x̂, y⟩ / (‖x̂‖‖y‖) over the rows.</param>
/// <param name="Shrinkage">γ = Σ‖x̂‖² / Σ⟨x̂, y⟩; below 1, reconstructions are too short (Rajamanoharan et al. 2024);
/// null if Σ⟨x̂, y⟩ is 0.</param>
sealed record Evaluation(long Rows, double? Fvu, double L0, double SilentPercent, double Cosine,
    double? Shrinkage)
{
    /// <summary>Number of further rows that were left out because they hold NaN or infinity.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public long LeftOut { get; init; }

    /// <summary>FVU of each site of a crosscoder, in the order of the sites; null for other SAEs.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double?[]? SiteFvu { get; init; }
}

/// <summary>Runs the forward half of a backend over the rows of a source that hold no NaN or infinity. Weights do not
/// change.</summary>
static class Evaluator
{
    /// <summary>Measures the weights that a backend holds.</summary>
    /// <exception cref="SaeException">The rows do not have the SAE's width, or none of them is finite.</exception>
    public static Evaluation Run(IBackend backend, RowSlice held, DataScale scale)
    {
        var (source, firstRow, rows) = held;
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
        backend.Dense = false; // a trained code is sparse; a batch with a dense code switches to the dense path
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
            Repeat(backend, source, numbers[0], 0);         // subtracts the firings of the rows that fill the batch up
            step.Evaluate(0, scalars);
            total.AddFirings(backend, -(B - count) / (double)B);
        }
        backend.Dense = dense;
        return leftOut < rows ? total.Finish(leftOut)
            : throw Finite.NoneOf(rows, source.Paths.FirstOrDefault("the data"));
    }

    /// <summary>Copies the next finite rows into the slot; a last, shorter batch is filled up with its first
    /// row.</summary>
    /// <param name="numbers">[B] Receives the numbers of the rows.</param>
    /// <param name="next">The next unread row; moves past the rows that are read.</param>
    /// <param name="leftOut">Increases by the number of rows that hold NaN or infinity.</param>
    /// <returns>Number of rows that are copied, without those that fill the batch up.</returns>
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

    /// <summary>Copies one row to all positions of the slot from <paramref name="from"/> on.</summary>
    static void Repeat(IBackend backend, ActivationSource source, long row, int from)
    {
        backend.WaitForSlot(0);
        var slot = backend.InputSlot(0);
        for (var b = from; b < backend.Config.BatchRows; b++)
            source.Read(row, slot.Slice(b * source.RowBytes, source.RowBytes));
    }

    /// <summary>Measures a loaded SAE on raw rows. It may have any normalization, and its codes any length.</summary>
    /// <exception cref="SaeException">The rows do not have the SAE's width.</exception>
    public static Evaluation Run(Sae sae, RowSlice held)
    {
        Require(sae.Spec, held.Source, held.Count);
        var total = EvaluationTotals.For(sae);
        return total.Finish(CodePass.Run(sae, held, total));
    }

    static void Require(SaeSpec spec, ActivationSource source, long rows)
    {
        if (source.Width != spec.RowWidth)
            throw new SaeException($"the data are {source.Width} wide, the SAE takes {spec.RowWidth}");
        if (rows < 1)
            throw new SaeException("evaluation needs held-out rows; hold rows out, or name a second file");
    }
}
