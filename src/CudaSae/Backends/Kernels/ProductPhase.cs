using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>Dense products by kernels/product.cu. The types of the operands select the kernel. A float32 operand is
/// represented by two bfloat16 numbers.</summary>
static class ProductPhase
{
    const int Block = 128, Tile = 128, StepK = 32;

    /// <summary>Computes C [m, n] = A [m, k] B [k, n]. Only a bfloat16 B can be gathered through a list.</summary>
    public static void Product(this KernelContext context, int m, int n, int k, ProductParams product)
    {
        if (product is { BBf16: 0, BGather: not GatherCode.None })
            throw new SaeException("product_f32 does not gather: rows of a float32 operand cannot be listed; "
                + "keep them in bfloat16");
        (product.M, product.N, product.K) = (m, n, k);
        var blocks = checked(Tiles(m) * Tiles(n));
        var (kernel, shared) = IsStraight(product) ? ("product_bf16", SharedMemory.Tile)
            : product.BBf16 == 1 ? ("product", SharedMemory.Product) : ("product_f32", SharedMemory.ProductF32);
        context.Launch(kernel, new(blocks, Block, shared), product);
    }

    /// <summary>Returns whether both operands are bfloat16 with K contiguous, like those of encode.</summary>
    static bool IsStraight(in ProductParams p) =>
        p is { ABf16: 1, BBf16: 1, AK: 1, BK: 1, KCount: 0, BGather: not GatherCode.K } && p.K > 0 && p.K % StepK == 0
        && p.AM % 8 == 0 && p.BN % 8 == 0 && p.A % 16 == 0 && p.B % 16 == 0;

    static int Tiles(int extent) => (extent + Tile - 1) / Tile;
}
