using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>What dead latents are taught, AuxK or ghost gradients: dense products on the compacted window of dead
/// latents. W is the window's length.</summary>
sealed unsafe partial class CpuBackend
{
    int* window, deadSlot;                  // [DeadWindow] latents; [n] slot or −1
    float* deadEnc, deadDec, deadBias;      // [W, ld], [W, lo], [W] the window's weights, side by side
    float* deadDecoder;                     // [lo, pitch] its decoder rows, turned
    float* deadPanel;                       // [workers, W, 48] c of the panel in work
    float* deadCode, deadCodeGrad;          // [W, lanes] c and ∂z without the common scale
    float* deadResidual, deadInput;         // r = ê + e and x − b_dec, in column panels
    float* deadResidualT;                   // [workers, lo, 48] r of the panel in work
    float* deadEncGrad, deadDecGrad, deadBiasGrad;
    double* deadErrors;                     // [panels] Σ‖r‖², or the ghost loss
    int windowLength, dead;
    float deadScale;
    Spread residualSpread;                  // of e, for AuxK
    Action<int, int>? gatherPart, deadRowsPart, deadGradPart, residualPart;

    int DeadPitch => (windowLength + 15) & ~15;

    void TakeDead()
    {
        long capacity = Spec.DeadWindow;
        lanes = panels * Gemm.TileColumns;
        window = arena.Take<int>("dead window", capacity);
        deadSlot = arena.Take<int>("latent to dead slot", n);
        deadEnc = arena.Take<float>("dead w_enc", capacity * ld);
        deadDec = arena.Take<float>("dead w_dec", (capacity + 15 & ~15) * lo);
        deadBias = arena.Take<float>("dead b_enc", capacity);
        deadDecoder = arena.Take<float>("dead w_dec, turned", (capacity + 15 & ~15) * lo);
        deadPanel = arena.Take<float>("dead code, a panel", workers.Count * capacity * Gemm.TileColumns);
        deadCode = arena.Take<float>("dead code", capacity * lanes);
        deadCodeGrad = arena.Take<float>("dead code gradient", capacity * lanes);
        deadResidual = arena.Take<float>("dead residual, packed", capacity > 0 ? PackedLength(lo) : 0);
        deadInput = arena.Take<float>("dead input, packed", capacity > 0 ? PackedLength(ld) : 0);
        deadResidualT =
            arena.Take<float>("dead residual, turned", capacity > 0 ? (long)workers.Count * lo * Gemm.TileColumns : 0);
        deadEncGrad = arena.Take<float>("dead gradient of w_enc", capacity * ld);
        deadDecGrad = arena.Take<float>("dead gradient of w_dec", capacity * lo);
        deadBiasGrad = arena.Take<float>("dead gradient of b_enc", capacity);
        deadErrors = arena.Take<double>("dead errors", panels);
        if (Spec.Aux is not null) residualSpread = new(arena, "e", B, lo, RowBlock);
    }

    public void AuxLoss()
    {
        if (Spec.Aux is null && Spec.Ghost is null) return;
        if (Spec.Ghost is not null && scalars.AllDead == 1) FindDead(scalars.Step - 1, 0);
        if (Spec.Aux is { } aux) SetAuxScale(aux);
        if (windowLength == 0) return;
        if (Spec.Ghost is not null) deadScale = 2 * scalars.LossScale;
        workers.Run(DeadPitch / 16, gatherPart ??= GatherWindow);
        workers.Run(panels, deadRowsPart ??= DeadRows);
        double error = 0;
        for (var panel = 0; panel < panels; panel++) error += deadErrors[panel];
        if (Spec.Ghost is null) sums.AuxSquaredError = error; else sums.Ghost = error;
        workers.Run(ProductParts(windowLength, lo) + ProductParts(windowLength, ld), deadGradPart ??= DeadGradients);
    }

    /// <summary>2α min(D / k_aux, 1) / Σ‖e − ē‖²; 0 where e does not vary. Σ‖e‖² − ‖Σe‖² / B stands where the sum about
    /// the mean agrees with it: docs/internals/decisions/0010-sums-about-a-mean.md.</summary>
    void SetAuxScale(AuxLoss aux)
    {
        ColumnTotals(sumE, columns);
        workers.Run(rowBlocks, residualPart ??= (block, _) => residualSpread.AddBlock(residual, block));
        double variance = sums.SquaredError, spread = residualSpread.Total();
        for (var i = 0; i < lo; i++) variance -= columns[i] * columns[i] / B;
        if (!(Math.Abs(variance - spread) <= 1e-4 * spread)) variance = spread;
        sums.AuxVariance = variance;
        deadScale = variance > 0 ? (float)(2 * scalars.AuxCoefficient * Math.Min((double)dead / aux.K, 1) / variance)
            : 0;
    }

    /// <summary>One panel of 48 rows: pre-activations of the window, code, ê, r and ∂z.</summary>
    [SkipLocalsInit]
    void DeadRows(int panel, int worker)
    {
        var buffer = stackalloc float[TileFloats + 16];
        var tile = Align(buffer);
        var start = panel * Gemm.TileColumns;
        var code = deadPanel + (long)worker * Spec.DeadWindow * Gemm.TileColumns;
        for (var s = 0; s < windowLength; s += Gemm.TileRows)
        {
            WindowTile(deadEnc, ld, deadBias, s, centeredT + (long)panel * ld * Gemm.TileColumns, tile);
            var floats = Math.Min(Gemm.TileRows, windowLength - s) * Gemm.TileColumns;
            new ReadOnlySpan<float>(tile, floats).CopyTo(new(code + s * Gemm.TileColumns, floats));
        }
        if (Spec.Aux is { } aux) SelectDead(aux, code, start);
        else Exponentials(code, start);

        var turned = deadResidualT + (long)worker * lo * Gemm.TileColumns;
        new Span<float>(turned, lo * Gemm.TileColumns).Clear();
        AddReconstruction(deadDecoder, DeadPitch, windowLength, code, turned);
        deadErrors[panel] = Spec.Ghost is null ? AddResidual(turned, start, worker)
            : ScaleGhost(turned, code, start, worker);
        StoreTile(code, deadCode + start, windowLength);

        for (var s = 0; s < windowLength; s += Gemm.TileRows)
        {
            WindowTile(deadDec, lo, null, s, turned, tile);
            var count = Math.Min(Gemm.TileRows, windowLength - s);
            TakeSlope(tile, code + s * Gemm.TileColumns, count * Gemm.TileColumns);
            StoreTile(tile, deadCodeGrad + (long)s * lanes + start, count);
        }
        for (var b = start; b < Math.Min(start + Gemm.TileColumns, B); b++)
            PackRow(centered + (long)b * ld, b, ld, deadInput);
    }

    /// <summary>∂z = ∂c/∂z ∂c: 1 where a latent was chosen, its value for ghosts, else 0.</summary>
    void TakeSlope(float* gradient, float* code, int length)
    {
        for (var i = 0; i < length; i += 16)
        {
            Vector512<float> c = Vector512.Load(code + i), g = Vector512.Load(gradient + i);
            Vector512.ConditionalSelect(Vector512.Equals(c, Vector512<float>.Zero), Vector512<float>.Zero,
                Spec.Ghost is null ? g : c * g).Store(gradient + i);
        }
    }

    void Exponentials(float* code, int start)
    {
        for (var s = 0; s < windowLength; s++, code += Gemm.TileColumns)
            for (var lane = 0; lane < Gemm.TileColumns; lane++)
                code[lane] = start + lane < B ? MathF.Exp(code[lane]) : 0;
    }

    /// <summary>r = ê + e for a panel, turned and packed; returns Σ‖r‖².</summary>
    double AddResidual(float* turned, int start, int worker)
    {
        double error = 0;
        var r = scratch + (long)worker * (ld + lo);
        for (var lane = 0; lane < Gemm.TileColumns && start + lane < B; lane++)
        {
            var e = residual + (long)(start + lane) * lo;
            var column = turned + lane;
            for (var i = 0; i < lo; i++, column += Gemm.TileColumns) r[i] = *column += e[i];
            error += Rows.SquaredNorm(r, lo);
            PackRow(r, start + lane, lo, deadResidual);
        }
        return error;
    }

    /// <summary>The ghost reconstruction g scaled to half the residual's norm; r = q (s g + e) with q the main error
    /// over the ghost's. The code takes s. Returns Σ q ‖s g + e‖².</summary>
    double ScaleGhost(float* turned, float* code, int start, int worker)
    {
        double loss = 0;
        var r = scratch + (long)worker * (ld + lo);
        for (var lane = 0; lane < Gemm.TileColumns && start + lane < B; lane++)
        {
            var e = residual + (long)(start + lane) * lo;
            var column = turned + lane;
            for (var i = 0; i < lo; i++) r[i] = column[i * Gemm.TileColumns];
            var error = Rows.SquaredNorm(e, lo);
            var s = (float)(Math.Sqrt(error) / (2 * Math.Sqrt(Rows.SquaredNorm(r, lo)) + 1e-6));
            for (var i = 0; i < lo; i++) r[i] = s * r[i] + e[i];
            var ghost = Rows.SquaredNorm(r, lo);
            var q = (float)(error / (ghost + 1e-6));
            for (var i = 0; i < lo; i++) column[i * Gemm.TileColumns] = r[i] *= q;
            for (var slot = 0; slot < windowLength; slot++) code[slot * Gemm.TileColumns + lane] *= s;
            PackRow(r, start + lane, lo, deadResidual);
            loss += q * ghost;
        }
        return loss;
    }

    /// <summary>A part of ∂WDec = Σ c r or of ∂WEnc = Σ ∂z (x − b_dec); ∂b_enc beside the latter's first
    /// columns.</summary>
    void DeadGradients(int part, int worker)
    {
        var decoderParts = ProductParts(windowLength, lo);
        if (part < decoderParts)
        {
            Product(part, deadCode, windowLength, deadResidual, lo, deadScale, deadDecGrad);
            return;
        }
        part -= decoderParts;
        Product(part, deadCodeGrad, windowLength, deadInput, ld, deadScale, deadEncGrad);
        for (var s = part * SlotBlock; s < Math.Min((part + 1) * SlotBlock, windowLength); s++)
            deadBiasGrad[s] = deadScale * Rows.Sum(deadCodeGrad + (long)s * lanes, lanes);
    }
}
