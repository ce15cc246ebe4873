using CudaSae.Activations;
using CudaSae.Numerics;

namespace CudaSae;

/// <summary>Receives the code of every row. Visitors share one pass, because encoding dominates the cost.</summary>
interface ICodeVisitor
{
    /// <summary>Receives the next rows, in ascending order. Rows are missing between batches, before the first or after
    /// the last only because they hold NaN or infinity.</summary>
    void Visit(in CodeBatch batch);

    /// <summary>Whether the visitor needs every row. If so, a row that is not finite ends the pass with an
    /// error.</summary>
    bool NeedsEveryRow => false;
}

/// <summary>Consecutive rows with their codes and reconstructions. The spans are valid until the next batch.</summary>
/// <param name="firstRow">Index of the first row in the source.</param>
/// <param name="codes">The codes of the rows.</param>
/// <param name="input">[rows, d] raw activations.</param>
/// <param name="target">[rows, d_out] target: the input, or a transcoder's target.</param>
/// <param name="reconstruction">[rows, d_out] reconstruction.</param>
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

/// <summary>Runs a loaded SAE once over rows of activations for several visitors.</summary>
sealed class CodePass
{
    const long MostEntries = 1 << 24;       // approximate number of code entries that are held at once

    readonly Sae sae;
    readonly ActivationSource source;
    readonly ICodeVisitor[] visitors;
    readonly int batch, d, D;
    readonly float[] raw, x, y, reconstruction;
    readonly SparseRows codes = new();
    int held;           // rows in x and y that are not yet visited
    int step;           // rows that are encoded at once; fewer if codes are long
    long leftOut;

    CodePass(Sae sae, ActivationSource source, int batch, ICodeVisitor[] visitors)
    {
        (this.sae, this.source, this.batch, this.visitors, d, D) =
            (sae, source, batch, visitors, sae.InputWidth, sae.OutputWidth);
        step = (int)Math.Clamp(MostEntries / sae.Latents, 1, batch);
        (raw, x, y, reconstruction) =
            (new float[source.Width], new float[batch * d], new float[batch * D], new float[batch * D]);
    }

    /// <summary>Runs a pass.</summary>
    /// <param name="sae">The SAE.</param>
    /// <param name="slice">The rows.</param>
    /// <param name="visitors">Receive the codes.</param>
    /// <returns>The number of rows that were skipped because of NaN or infinity.</returns>
    /// <exception cref="SaeException">The widths differ, no row is finite, or a visitor needs a row that is not
    /// finite.</exception>
    public static long Run(Sae sae, RowSlice slice, params ReadOnlySpan<ICodeVisitor> visitors)
    {
        var (source, firstRow, rows) = slice;
        if (source.Width != sae.Spec.RowWidth)
            throw new SaeException($"the data is {source.Width} wide, but the SAE takes {sae.Spec.RowWidth}");
        if (rows < 1 || firstRow < 0 || firstRow + rows > source.Rows)
            throw new SaeException($"rows {firstRow} to {firstRow + rows} were requested; the data has {source.Rows}");
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
            raw.AsSpan(source.Width - D).CopyTo(y.AsSpan(held * D));      // follows the input if it differs
            held++;
            return;
        }
        if (visitors.Any(visitor => visitor.NeedsEveryRow))
            throw new SaeException($"{source.Locate(row)} holds NaN or infinity; repair it, or remove it from the data",
                kind: SaeErrorKind.Numbers);
        Show(row);
        leftOut++;
    }

    /// <summary>Encodes the held rows in batches without gaps and passes them to the visitors.</summary>
    /// <param name="end">Index after the last row.</param>
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
