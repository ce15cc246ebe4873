using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace CudaSae.Numerics;

/// <summary>The only dense kernel of the CPU: C [8, 48] = init + A [8, K] · B [K, 48]. A's rows are given by pointers,
/// so weights are used in place, unpacked, and may be gathered. Lanes run along B's 48 columns. Each element is one
/// chain of fused multiply-adds in ascending k, so every vector width gives the same bits.</summary>
static unsafe class Gemm
{
    public const int TileRows = 8, TileColumns = 48;

    /// <summary>Computes one tile of C.</summary>
    /// <param name="a">8 pointers to rows of K floats.</param>
    /// <param name="b">K rows of 48 floats, 64-byte aligned if ldb allows.</param>
    /// <param name="ldb">Floats between rows of b.</param>
    /// <param name="length">K.</param>
    /// <param name="init">8 starting values, one for each row; null to start from the values of
    /// <paramref name="c"/>.</param>
    /// <param name="c">[8, 48], 64-byte aligned.</param>
    public static void Tile(float** a, float* b, nint ldb, nint length, float* init, float* c)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Tile512(a, b, ldb, length, init, c);
            return;
        }
        for (var row = 0; row < TileRows; row += 4)
            for (var column = 0; column < TileColumns; column += 24)
                Tile256(a + row, b + column, ldb, length, init == null ? null : init + row,
                    c + row * TileColumns + column);
    }

    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]     // optimized from the first call
    static void Tile512(float** a, float* b, nint ldb, nint length, float* init, float* c)
    {
        float* a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4], a5 = a[5], a6 = a[6], a7 = a[7];
        Vector512<float> c00, c01, c02, c10, c11, c12, c20, c21, c22, c30, c31, c32;
        Vector512<float> c40, c41, c42, c50, c51, c52, c60, c61, c62, c70, c71, c72;
        if (init == null)
        {
            c00 = Vector512.Load(c);
            c01 = Vector512.Load(c + 16);
            c02 = Vector512.Load(c + 32);
            c10 = Vector512.Load(c + 48);
            c11 = Vector512.Load(c + 64);
            c12 = Vector512.Load(c + 80);
            c20 = Vector512.Load(c + 96);
            c21 = Vector512.Load(c + 112);
            c22 = Vector512.Load(c + 128);
            c30 = Vector512.Load(c + 144);
            c31 = Vector512.Load(c + 160);
            c32 = Vector512.Load(c + 176);
            c40 = Vector512.Load(c + 192);
            c41 = Vector512.Load(c + 208);
            c42 = Vector512.Load(c + 224);
            c50 = Vector512.Load(c + 240);
            c51 = Vector512.Load(c + 256);
            c52 = Vector512.Load(c + 272);
            c60 = Vector512.Load(c + 288);
            c61 = Vector512.Load(c + 304);
            c62 = Vector512.Load(c + 320);
            c70 = Vector512.Load(c + 336);
            c71 = Vector512.Load(c + 352);
            c72 = Vector512.Load(c + 368);
        }
        else
        {
            c00 = c01 = c02 = Vector512.Create(init[0]);
            c10 = c11 = c12 = Vector512.Create(init[1]);
            c20 = c21 = c22 = Vector512.Create(init[2]);
            c30 = c31 = c32 = Vector512.Create(init[3]);
            c40 = c41 = c42 = Vector512.Create(init[4]);
            c50 = c51 = c52 = Vector512.Create(init[5]);
            c60 = c61 = c62 = Vector512.Create(init[6]);
            c70 = c71 = c72 = Vector512.Create(init[7]);
        }
        for (nint k = 0; k < length; k++, b += ldb)
        {
            Vector512<float> b0 = Vector512.Load(b), b1 = Vector512.Load(b + 16), b2 = Vector512.Load(b + 32);
            var x = Vector512.Create(a0[k]);
            c00 = Vector512.FusedMultiplyAdd(x, b0, c00);
            c01 = Vector512.FusedMultiplyAdd(x, b1, c01);
            c02 = Vector512.FusedMultiplyAdd(x, b2, c02);
            x = Vector512.Create(a1[k]);
            c10 = Vector512.FusedMultiplyAdd(x, b0, c10);
            c11 = Vector512.FusedMultiplyAdd(x, b1, c11);
            c12 = Vector512.FusedMultiplyAdd(x, b2, c12);
            x = Vector512.Create(a2[k]);
            c20 = Vector512.FusedMultiplyAdd(x, b0, c20);
            c21 = Vector512.FusedMultiplyAdd(x, b1, c21);
            c22 = Vector512.FusedMultiplyAdd(x, b2, c22);
            x = Vector512.Create(a3[k]);
            c30 = Vector512.FusedMultiplyAdd(x, b0, c30);
            c31 = Vector512.FusedMultiplyAdd(x, b1, c31);
            c32 = Vector512.FusedMultiplyAdd(x, b2, c32);
            x = Vector512.Create(a4[k]);
            c40 = Vector512.FusedMultiplyAdd(x, b0, c40);
            c41 = Vector512.FusedMultiplyAdd(x, b1, c41);
            c42 = Vector512.FusedMultiplyAdd(x, b2, c42);
            x = Vector512.Create(a5[k]);
            c50 = Vector512.FusedMultiplyAdd(x, b0, c50);
            c51 = Vector512.FusedMultiplyAdd(x, b1, c51);
            c52 = Vector512.FusedMultiplyAdd(x, b2, c52);
            x = Vector512.Create(a6[k]);
            c60 = Vector512.FusedMultiplyAdd(x, b0, c60);
            c61 = Vector512.FusedMultiplyAdd(x, b1, c61);
            c62 = Vector512.FusedMultiplyAdd(x, b2, c62);
            x = Vector512.Create(a7[k]);
            c70 = Vector512.FusedMultiplyAdd(x, b0, c70);
            c71 = Vector512.FusedMultiplyAdd(x, b1, c71);
            c72 = Vector512.FusedMultiplyAdd(x, b2, c72);
        }
        Store(c, c00, c01, c02);
        Store(c + 48, c10, c11, c12);
        Store(c + 96, c20, c21, c22);
        Store(c + 144, c30, c31, c32);
        Store(c + 192, c40, c41, c42);
        Store(c + 240, c50, c51, c52);
        Store(c + 288, c60, c61, c62);
        Store(c + 336, c70, c71, c72);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Store(float* c, Vector512<float> v0, Vector512<float> v1, Vector512<float> v2)
    {
        v0.Store(c);
        v1.Store(c + 16);
        v2.Store(c + 32);
    }

    // The tile is 4 × 24: twelve accumulators, three operands and a broadcast fill sixteen registers.
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile256(float** a, float* b, nint ldb, nint length, float* init, float* c)
    {
        float* a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
        Vector256<float> c00, c01, c02, c10, c11, c12, c20, c21, c22, c30, c31, c32;
        if (init == null)
        {
            (c00, c01, c02) = (Vector256.Load(c), Vector256.Load(c + 8), Vector256.Load(c + 16));
            (c10, c11, c12) = (Vector256.Load(c + 48), Vector256.Load(c + 56), Vector256.Load(c + 64));
            (c20, c21, c22) = (Vector256.Load(c + 96), Vector256.Load(c + 104), Vector256.Load(c + 112));
            (c30, c31, c32) = (Vector256.Load(c + 144), Vector256.Load(c + 152), Vector256.Load(c + 160));
        }
        else
        {
            c00 = c01 = c02 = Vector256.Create(init[0]);
            c10 = c11 = c12 = Vector256.Create(init[1]);
            c20 = c21 = c22 = Vector256.Create(init[2]);
            c30 = c31 = c32 = Vector256.Create(init[3]);
        }
        for (nint k = 0; k < length; k++, b += ldb)
        {
            Vector256<float> b0 = Vector256.Load(b), b1 = Vector256.Load(b + 8), b2 = Vector256.Load(b + 16);
            var x = Vector256.Create(a0[k]);
            c00 = Vector256.FusedMultiplyAdd(x, b0, c00);
            c01 = Vector256.FusedMultiplyAdd(x, b1, c01);
            c02 = Vector256.FusedMultiplyAdd(x, b2, c02);
            x = Vector256.Create(a1[k]);
            c10 = Vector256.FusedMultiplyAdd(x, b0, c10);
            c11 = Vector256.FusedMultiplyAdd(x, b1, c11);
            c12 = Vector256.FusedMultiplyAdd(x, b2, c12);
            x = Vector256.Create(a2[k]);
            c20 = Vector256.FusedMultiplyAdd(x, b0, c20);
            c21 = Vector256.FusedMultiplyAdd(x, b1, c21);
            c22 = Vector256.FusedMultiplyAdd(x, b2, c22);
            x = Vector256.Create(a3[k]);
            c30 = Vector256.FusedMultiplyAdd(x, b0, c30);
            c31 = Vector256.FusedMultiplyAdd(x, b1, c31);
            c32 = Vector256.FusedMultiplyAdd(x, b2, c32);
        }
        c00.Store(c); c01.Store(c + 8); c02.Store(c + 16);
        c10.Store(c + 48); c11.Store(c + 56); c12.Store(c + 64);
        c20.Store(c + 96); c21.Store(c + 104); c22.Store(c + 112);
        c30.Store(c + 144); c31.Store(c + 152); c32.Store(c + 160);
    }
}
