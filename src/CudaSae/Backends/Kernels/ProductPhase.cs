using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>Dense products by kernels/product.cu, by the names of their operands. A float32 operand takes part as two
/// bfloat16 numbers.</summary>
static class ProductPhase
{
    const int Block = 128, Tile = 128, StepK = 32;

    /// <summary>C [m, n] = A [m, k] B [k, n]. Only a bfloat16 B is read through a list.</summary>
    public static void Product(this KernelContext context, int m, int n, int k, ProductParams product)
    {
        if (product is { BBf16: 0, BGather: not GatherCode.None })
            throw new SaeException("product_f32 reads no list: rows of a float32 operand cannot be gathered; "
                + "keep them in bfloat16");
        (product.M, product.N, product.K) = (m, n, k);
        var blocks = checked(Tiles(m) * Tiles(n));
        var (kernel, shared) = IsStraight(product) ? ("product_bf16", SharedMemory.Tile)
            : product.BBf16 == 1 ? ("product", SharedMemory.Product) : ("product_f32", SharedMemory.ProductF32);
        context.Launch(kernel, new(blocks, Block, shared), product);
    }

    /// <summary>Both operands bfloat16 with K contiguous, as encode's.</summary>
    static bool IsStraight(in ProductParams p) =>
        p is { ABf16: 1, BBf16: 1, AK: 1, BK: 1, KCount: 0, BGather: not GatherCode.K } && p.K > 0 && p.K % StepK == 0
        && p.AM % 8 == 0 && p.BN % 8 == 0 && p.A % 16 == 0 && p.B % 16 == 0;

    static int Tiles(int extent) => (extent + Tile - 1) / Tile;
}
