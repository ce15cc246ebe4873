using CudaSae.Activations;
using CudaSae.Numerics;

namespace CudaSae;

/// <summary>Looks at every row's code. Visitors share one pass, because encoding is what costs.</summary>
interface ICodeVisitor
{
    /// <summary>The next rows, in ascending order. Rows between two batches, before the first or after the last are
    /// missing only where they held NaN or infinity.</summary>
    void Visit(in CodeBatch batch);

    /// <summary>Whether it would be wrong without some row: then a row that is not finite ends the pass.</summary>
    bool NeedsEveryRow => false;
}

/// <summary>Some rows and what an SAE makes of them. The spans are used again for the next batch.</summary>
/// <param name="firstRow">Row of the source that the first one is.</param>
/// <param name="codes">Their codes.</param>
/// <param name="input">[rows, d] raw activations.</param>
/// <param name="target">[rows, d_out]: the input again, or a transcoder's target.</param>
/// <param name="reconstruction">[rows, d_out].</param>
readonly ref struct CodeBatch(long firstRow, SparseRows codes, ReadOnlySpan<float> input, ReadOnlySpan<float> target,
    ReadOnlySpan<float> reconstruction)
{
    public long FirstRow { get; } = firstRow;
    public SparseRows Codes { get; } = codes;
    public ReadOnlySpan<float> Input { get; } = input;
    public ReadOnlySpan<float> Target { get; } = target;
    public ReadOnlySpan<float> Reconstruction { get; } = reconstruction;
    public int Rows => Codes.Rows;
}

/// <summary>A loaded SAE over rows of activations, once, for all who want to look.</summary>
sealed class CodePass
{
    const long MostEntries = 1 << 24;       // of codes, about, that are held at once

    readonly Sae sae;
    readonly ActivationSource source;
    readonly ICodeVisitor[] visitors;
    readonly int batch, d, D;
    readonly float[] raw, x, y, reconstruction;
    readonly SparseRows codes = new();
    int held;           // rows in x and y that no visitor has seen yet
    int step;           // rows that are encoded at once: fewer where codes are long
    long leftOut;

    CodePass(Sae sae, ActivationSource source, int batch, ICodeVisitor[] visitors)
    {
        (this.sae, this.source, this.batch, this.visitors, d, D) =
            (sae, source, batch, visitors, sae.InputWidth, sae.OutputWidth);
        step = (int)Math.Clamp(MostEntries / sae.Latents, 1, batch);
        (raw, x, y, reconstruction) =
            (new float[source.Width], new float[batch * d], new float[batch * D], new float[batch * D]);
    }

    /// <param name="firstRow">First row of the source.</param>
    /// <param name="rows">How many.</param>
    /// <returns>Rows that were left out for NaN or infinity.</returns>
    /// <exception cref="SaeException">Widths differ, no row is finite, or one is not and a visitor needs
    /// it.</exception>
    public static long Run(Sae sae, ActivationSource source, long firstRow, long rows,
        params ReadOnlySpan<ICodeVisitor> visitors)
    {
        if (source.Width != sae.Spec.RowWidth)
            throw new SaeException($"the data are {source.Width} wide, the SAE takes {sae.Spec.RowWidth}");
        if (rows < 1 || firstRow < 0 || firstRow + rows > source.Rows)
            throw new SaeException($"rows {firstRow} to {firstRow + rows} were asked for; the data have {source.Rows}");
        var pass = new CodePass(sae, source, (int)Math.Min(rows, Math.Max(sae.BatchRows, 256)), [.. visitors]);
        for (var (row, end) = (firstRow, firstRow + rows); row < end; row++)
        {
            pass.Take(row);
            if ((row + 1 - firstRow) % pass.batch == 0) pass.Show(row + 1);
        }
        pass.Show(firstRow + rows);
        return pass.leftOut < rows ? pass.leftOut : throw Finite.NoneOf(rows, source.Paths.FirstOrDefault("the data"));
    }

    void Take(long row)
    {
        source.ReadRow(row, raw);
        if (Finite.All(raw))
        {
            raw.AsSpan(0, d).CopyTo(x.AsSpan(held * d));
            raw.AsSpan(source.Width - D).CopyTo(y.AsSpan(held * D));      // behind the input where it is another
            held++;
            return;
        }
        if (visitors.Any(visitor => visitor.NeedsEveryRow))
            throw new SaeException($"{source.Locate(row)} holds NaN or infinity; mend it, or take it out of the data",
                kind: SaeErrorKind.Numbers);
        Show(row);
        leftOut++;
    }

    /// <summary>What is held, in batches without a gap.</summary>
    /// <param name="end">Row behind the last.</param>
    void Show(long end)
    {
        for (var (at, count) = (0, 0); at < held; at += count)
        {
            count = Math.Min(step, held - at);
            Range input = (at * d)..((at + count) * d), output = (at * D)..((at + count) * D);
            sae.Reconstruct(x.AsSpan(input), reconstruction.AsSpan(output), codes);
            var first = end - held + at;
            var seen = new CodeBatch(first, codes, x.AsSpan(input), y.AsSpan(output), reconstruction.AsSpan(output));
            foreach (var visitor in visitors) visitor.Visit(seen);
            step = (int)Math.Clamp(MostEntries * count / Math.Max(1, codes.Count), 1, batch);
        }
        held = 0;
    }
}
