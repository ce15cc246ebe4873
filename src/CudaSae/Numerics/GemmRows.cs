using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace CudaSae.Numerics;

/// <summary><see cref="Gemm.Tile"/> for rows of A that lie at one distance from each other, with its operands on the
/// stack.</summary>
static unsafe class GemmRows
{
    /// <summary>Floats of a tile [8, 48], and of a buffer that holds one at an aligned address.</summary>
    public const int TileFloats = Gemm.TileRows * Gemm.TileColumns, BufferFloats = TileFloats + 16;

    /// <summary>The first 64-byte aligned address of a buffer on the stack.</summary>
    /// <param name="buffer"><c>stackalloc float[BufferFloats]</c>.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float* Aligned(Span<float> buffer) =>
        (float*)(((nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(buffer)) + 63) & ~63);

    /// <summary>tile = init + A [8, K] · B [K, 48]. Where A has fewer than eight rows, its last row is
    /// repeated.</summary>
    /// <param name="a">The first row of A.</param>
    /// <param name="lda">Floats between two rows of A.</param>
    /// <param name="count">Rows of A, at least 1.</param>
    /// <param name="init">[count] starting values, one a row; null for zeros.</param>
    /// <param name="b">[K, 48], 64-byte aligned.</param>
    /// <param name="length">K.</param>
    /// <param name="tile">[8, 48], 64-byte aligned.</param>
    [SkipLocalsInit]
    public static void Tile(float* a, nint lda, int count, float* init, float* b, nint length, float* tile)
    {
        var rows = stackalloc float*[Gemm.TileRows];
        var start = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++)
        {
            var row = Math.Min(r, count - 1);
            rows[r] = a + row * lda;
            start[r] = init is null ? 0 : init[row];
        }
        Gemm.Tile(rows, b, Gemm.TileColumns, length, start, tile);
    }

    /// <summary>tile += A [8, K] · B [K, 48], as a continuation of each element's chain of fused multiply-adds: two
    /// calls give the bits of one call over both depths.</summary>
    /// <param name="a">8 rows.</param>
    /// <inheritdoc cref="Tile"/>
    [SkipLocalsInit]
    public static void Continue(float* a, nint lda, float* b, nint length, float* tile)
    {
        var rows = stackalloc float*[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++) rows[r] = a + r * lda;
        Gemm.Tile(rows, b, Gemm.TileColumns, length, null, tile);
    }
}
