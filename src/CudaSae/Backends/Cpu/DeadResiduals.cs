using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The residuals r of the losses of dead latents, panel by panel: for AuxK r = ê + e, and for ghosts the
/// scaled one.</summary>
sealed unsafe class DeadResiduals : CpuPart
{
    readonly DenseProducts products;
    readonly float* residual, scratch;      // [B, lo] e; [workers, ld + lo]

    public DeadResiduals(CpuContext context) : base(context)
    {
        products = context.Products;
        residual = context.Buffers.Residual;
        scratch = context.Buffers.RowScratch;
        Packed = context.Arena.Take<float>("dead residual, packed", products.PackedLength(lo));
    }

    /// <summary>r in column panels.</summary>
    public float* Packed { get; }

    /// <summary>r = ê + e for a panel, transposed and packed. Returns Σ‖r‖².</summary>
    /// <param name="transposed">[lo, 48] ê; receives r.</param>
    /// <param name="start">The panel's first row.</param>
    public double Add(float* transposed, int start, int worker)
    {
        double error = 0;
        var r = scratch + (long)worker * (ld + lo);
        for (var lane = 0; lane < Gemm.TileColumns && start + lane < B; lane++)
        {
            var e = residual + (long)(start + lane) * lo;
            var column = transposed + lane;
            for (var i = 0; i < lo; i++, column += Gemm.TileColumns) r[i] = *column += e[i];
            error += Rows.SquaredNorm(r, lo);
            products.PackRow(r, start + lane, lo, Packed);
        }
        return error;
    }

    /// <summary>Scales the ghost reconstruction g, and its code, by s, so that it has half the residual's norm;
    /// r = q (s g + e), where q is the main error over the ghost's. Returns Σ q ‖s g + e‖².</summary>
    /// <param name="transposed">[lo, 48] g; receives r.</param>
    /// <param name="c">[length, 48] The code.</param>
    /// <param name="start">The panel's first row.</param>
    public double ScaleGhost(float* transposed, float* c, int length, int start, int worker)
    {
        double loss = 0;
        var r = scratch + (long)worker * (ld + lo);
        for (var lane = 0; lane < Gemm.TileColumns && start + lane < B; lane++)
        {
            var e = residual + (long)(start + lane) * lo;
            var column = transposed + lane;
            for (var i = 0; i < lo; i++) r[i] = column[i * Gemm.TileColumns];
            var error = Rows.SquaredNorm(e, lo);
            var s = (float)(Math.Sqrt(error) / (2 * Math.Sqrt(Rows.SquaredNorm(r, lo)) + 1e-6));
            for (var i = 0; i < lo; i++) r[i] = s * r[i] + e[i];
            var ghostError = Rows.SquaredNorm(r, lo);
            var q = (float)(error / (ghostError + 1e-6));
            for (var i = 0; i < lo; i++) column[i * Gemm.TileColumns] = r[i] *= q;
            for (var slot = 0; slot < length; slot++) c[slot * Gemm.TileColumns + lane] *= s;
            products.PackRow(r, start + lane, lo, Packed);
            loss += q * ghostError;
        }
        return loss;
    }
}
