using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>Dense products by kernels/product.cu, by the names of their operands.</summary>
static class ProductPhase
{
    const int Block = 256, Tile = 64, SharedBytes = 2 * 16 * 68 * 4;

    /// <summary>C [m, n] = A [m, k] B [k, n].</summary>
    public static void Product(this KernelContext context, int m, int n, int k, ProductParams product)
    {
        (product.M, product.N, product.K) = (m, n, k);
        context.Launch("product", new((n + Tile - 1) / Tile, Block, SharedBytes, (m + Tile - 1) / Tile), product);
    }
}
