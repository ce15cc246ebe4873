using System.Runtime.CompilerServices;

namespace CudaSae.Backends.Cpu;

/// <summary>decode: reconstruction, residual, loss and the code's gradient from one visit to the selected decoder rows.</summary>
public sealed unsafe partial class CpuBackend
{
    const int RowBlock = 32;        // rows of a part; column sums are added part by part, in order

    int rowBlocks;
    float* sumE, sumX;              // [rowBlocks, ld] column sums of e and x
    double* rowSums;                // [rowBlocks, 3]: Σ‖e‖², Σ‖x‖², active entries
    double* columns;                // [2, ld] totals of sumE, sumX
    Action<int, int>? decodePart;

    void TakeDecode()
    {
        rowBlocks = (B + RowBlock - 1) / RowBlock;
        sumE = arena.Take<float>("column sums of e", (long)rowBlocks * ld);
        sumX = arena.Take<float>("column sums of x", (long)rowBlocks * ld);
        rowSums = arena.Take<double>("row sums", rowBlocks * 3);
        columns = arena.Take<double>("column totals", 2L * ld);
    }

    public void DecodeLoss()
    {
        workers.Run(rowBlocks, decodePart ??= DecodePart);
        FinishSums();
    }

    [SkipLocalsInit]
    void DecodePart(int block, int worker)
    {
        float* blockE = sumE + (long)block * ld, blockX = sumX + (long)block * ld;
        new Span<float>(blockE, ld).Clear();
        new Span<float>(blockX, ld).Clear();
        double squaredError = 0, squaredNorm = 0;
        long active = 0;
        var fired = stackalloc int[k];
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            float* e = residual + (long)b * ld, row = x + (long)b * ld;
            var count = 0;
            for (var j = 0; j < k; j++)
            {
                valueGrad[b * k + j] = 0;
                if (value[b * k + j] != 0) fired[count++] = b * k + j;
            }
            Reconstruct(e, fired, count);
            for (var i = 0; i < ld; i++) e[i] -= row[i];
            Gradients(e, fired, count);
            squaredError += Rows.SquaredNorm(e, ld);
            squaredNorm += Rows.SquaredNorm(row, ld);
            active += count;
            Rows.Add(blockE, 1, e, ld);
            Rows.Add(blockX, 1, row, ld);
        }
        rowSums[block * 3] = squaredError;
        rowSums[block * 3 + 1] = squaredNorm;
        rowSums[block * 3 + 2] = active;
    }

    /// <summary>x̂ = b_dec + Σ value · WDec[index].</summary>
    void Reconstruct(float* xhat, int* fired, int count)
    {
        new ReadOnlySpan<float>(bDec, ld).CopyTo(new(xhat, ld));
        var j = 0;
        for (; j + 4 <= count; j += 4)
            Rows.Add4(xhat, value[fired[j]], Decoder(fired[j]), value[fired[j + 1]], Decoder(fired[j + 1]),
                value[fired[j + 2]], Decoder(fired[j + 2]), value[fired[j + 3]], Decoder(fired[j + 3]), ld);
        for (; j < count; j++) Rows.Add(xhat, value[fired[j]], Decoder(fired[j]), ld);
    }

    /// <summary>∂L/∂value = 2c ⟨e, WDec[index]⟩.</summary>
    void Gradients(float* e, int* fired, int count)
    {
        var scale = 2 * scalars.LossScale;
        var j = 0;
        for (; j + 4 <= count; j += 4)
        {
            var (g0, g1, g2, g3) = Rows.Dot4(e, Decoder(fired[j]), Decoder(fired[j + 1]), Decoder(fired[j + 2]), Decoder(fired[j + 3]), ld);
            valueGrad[fired[j]] = scale * g0;
            valueGrad[fired[j + 1]] = scale * g1;
            valueGrad[fired[j + 2]] = scale * g2;
            valueGrad[fired[j + 3]] = scale * g3;
        }
        for (; j < count; j++) valueGrad[fired[j]] = scale * Rows.Dot(e, Decoder(fired[j]), ld);
    }

    float* Decoder(int entry) => wDec + (long)index[entry] * ld;

    void FinishSums()
    {
        sums.SquaredError = sums.SquaredNorm = 0;
        sums.Active = 0;
        for (var block = 0; block < rowBlocks; block++)
        {
            sums.SquaredError += rowSums[block * 3];
            sums.SquaredNorm += rowSums[block * 3 + 1];
            sums.Active += (long)rowSums[block * 3 + 2];
        }
        ColumnTotals(sumX, columns + ld);
        sums.SquaredMean = 0;
        for (var i = 0; i < ld; i++) sums.SquaredMean += columns[ld + i] * columns[ld + i] / B;
    }

    void ColumnTotals(float* parts, double* totals)
    {
        new Span<double>(totals, ld).Clear();
        for (var block = 0; block < rowBlocks; block++)
            for (var i = 0; i < ld; i++) totals[i] += parts[(long)block * ld + i];
    }
}
