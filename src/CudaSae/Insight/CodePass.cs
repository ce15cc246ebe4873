using CudaSae.Data;

namespace CudaSae.Insight;

/// <summary>Looks at every row's code. Visitors share one pass, because encoding is what costs.</summary>
public interface ICodeVisitor
{
    /// <summary>The next rows, in ascending order without a gap.</summary>
    void Visit(in CodeBatch batch);
}

/// <summary>Some rows and what an SAE makes of them. The spans are used again for the next batch.</summary>
/// <param name="firstRow">Row of the source that the first one is.</param>
/// <param name="codes">Their codes.</param>
/// <param name="input">[rows, d] raw activations.</param>
/// <param name="target">[rows, d_out]: the input again, or a transcoder's target.</param>
/// <param name="reconstruction">[rows, d_out].</param>
public readonly ref struct CodeBatch(long firstRow, SparseRows codes, ReadOnlySpan<float> input, ReadOnlySpan<float> target, ReadOnlySpan<float> reconstruction)
{
    public long FirstRow { get; } = firstRow;
    public SparseRows Codes { get; } = codes;
    public ReadOnlySpan<float> Input { get; } = input;
    public ReadOnlySpan<float> Target { get; } = target;
    public ReadOnlySpan<float> Reconstruction { get; } = reconstruction;
    public int Rows => Codes.Rows;
}

/// <summary>A loaded SAE over rows of activations, once, for all who want to look.</summary>
public static class CodePass
{
    /// <param name="firstRow">First row of the source.</param>
    /// <param name="rows">How many.</param>
    /// <exception cref="SaeException">Widths differ, or a row holds NaN.</exception>
    public static void Run(Sae sae, ActivationSource source, long firstRow, long rows, params ReadOnlySpan<ICodeVisitor> visitors)
    {
        int d = sae.InputWidth, D = sae.OutputWidth, batch = (int)Math.Min(rows, Math.Max(sae.BatchRows, 256));
        if (source.Width != sae.Spec.RowWidth) throw new SaeException($"the data are {source.Width} wide, the SAE takes {sae.Spec.RowWidth}");
        if (rows < 1 || firstRow < 0 || firstRow + rows > source.Rows) throw new SaeException($"rows {firstRow} to {firstRow + rows} were asked for; the data have {source.Rows}");
        var (raw, x, y, reconstruction) = (new float[source.Width], new float[batch * d], new float[batch * D], new float[batch * D]);
        var codes = new SparseRows();
        for (long start = 0; start < rows; start += batch)
        {
            var count = (int)Math.Min(batch, rows - start);
            for (var b = 0; b < count; b++)
            {
                source.ReadRow(firstRow + start + b, raw);
                raw.AsSpan(0, d).CopyTo(x.AsSpan(b * d));
                raw.AsSpan(source.Width - D).CopyTo(y.AsSpan(b * D));      // behind the input where it is another
            }
            sae.Reconstruct(x.AsSpan(0, count * d), reconstruction.AsSpan(0, count * D), codes);
            foreach (var visitor in visitors) visitor.Visit(new(firstRow + start, codes, x.AsSpan(0, count * d), y.AsSpan(0, count * D), reconstruction.AsSpan(0, count * D)));
        }
    }
}
