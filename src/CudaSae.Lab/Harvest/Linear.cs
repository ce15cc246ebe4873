using System.Runtime.CompilerServices;
using CudaSae.Numerics;

namespace CudaSae.Lab.Harvest;

/// <summary>Dense layers of a host network through <see cref="Gemm"/>: weights are read where they lie, 48 tokens at a
/// time are turned round.</summary>
sealed unsafe class Linear : IDisposable
{
    Matrix panel = new(0, Gemm.TileColumns);        // [inputs, 48]

    /// <summary>y [tokens, outputs] = x [tokens, inputs] · wᵀ.</summary>
    /// <param name="w">[outputs, inputs], packed.</param>
    public void Multiply(Matrix x, int tokens, float* w, Matrix y)
    {
        int outputs = y.Columns, to = y.Columns;
        Each(x, tokens, w, outputs, (first, output, rows, lanes, tile) =>
        {
            for (var lane = 0; lane < lanes; lane++)
                for (var r = 0; r < rows; r++)
                    y.Data[(long)(first + lane) * to + output + r] = ((float*)tile)[r * Gemm.TileColumns + lane];
        });
    }

    /// <summary>yᵀ [outputs, pitch]: tokens along the rows, and zeros behind them up to a multiple of 48.</summary>
    public void MultiplyTransposed(Matrix x, int tokens, float* w, Matrix y) =>
        Each(x, tokens, w, (int)y.Rows, (first, output, rows, _, tile) =>
    {
        for (var r = 0; r < rows; r++)
            new Span<float>((float*)tile + r * Gemm.TileColumns, Gemm.TileColumns).CopyTo(y[output + r][first..]);
    });

    [SkipLocalsInit]
    void Each(Matrix x, int tokens, float* w, int outputs, Action<int, int, int, int, nint> store)
    {
        var inputs = x.Columns;
        if (panel.Rows < inputs)
        {
            panel.Dispose();
            panel = new(inputs, Gemm.TileColumns);
        }
        var buffer = stackalloc float[Gemm.TileRows * Gemm.TileColumns + 16];
        var tile = (float*)((nint)(buffer + 15) & ~63);
        var rows = stackalloc float*[Gemm.TileRows];
        var zero = stackalloc float[Gemm.TileRows];
        new Span<float>(zero, Gemm.TileRows).Clear();
        for (var first = 0; first < tokens; first += Gemm.TileColumns)
        {
            var lanes = Math.Min(Gemm.TileColumns, tokens - first);
            Turn(x, first, lanes);
            for (var output = 0; output < outputs; output += Gemm.TileRows)
            {
                for (var r = 0; r < Gemm.TileRows; r++) rows[r] = w + (long)Math.Min(output + r, outputs - 1) * inputs;
                Gemm.Tile(rows, panel.Data, Gemm.TileColumns, inputs, zero, tile);
                store(first, output, Math.Min(Gemm.TileRows, outputs - output), lanes, (nint)tile);
            }
        }
    }

    void Turn(Matrix x, int first, int lanes)
    {
        for (var lane = 0; lane < Gemm.TileColumns; lane++)
        {
            var row = x.Data + (long)(first + lane) * x.Columns;
            for (var i = 0; i < x.Columns; i++)
                panel.Data[(long)i * Gemm.TileColumns + lane] = lane < lanes ? row[i] : 0;
        }
    }

    public void Dispose() => panel.Dispose();
}
