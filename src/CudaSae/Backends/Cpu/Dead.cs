using System.Runtime.CompilerServices;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>What dead latents are taught, AuxK or ghost gradients: dense products on the compacted window of dead latents. W is the window's length.</summary>
public sealed unsafe partial class CpuBackend
{
    int* window, deadSlot;                  // [WindowCapacity] latents; [n] slot or −1
    float* deadCode, deadCodeGrad;          // [W, lanes] c and ∂z without the common scale
    float* deadDecoder;                     // [lo, W] the window's decoder rows, turned
    float* deadResidual, deadResidualT;     // [B, lo] r = ê + e; [workers, lo, 48]
    float* deadEncGrad, deadDecGrad, deadBiasGrad;
    double* deadErrors;                     // [panels] Σ‖r‖², or the ghost loss
    int windowLength, dead;
    float deadScale;
    Action<int, int>? turnPart, deadRowsPart, deadGradPart;

    int WindowCapacity => Spec.Aux?.Capacity(n) ?? (Spec.Ghost is { } ghost ? Math.Min(n, ghost.Window) : 0);

    LatentSet Window => new(window, 0, windowLength);

    void TakeDead()
    {
        long capacity = WindowCapacity;
        lanes = panels * Gemm.TileColumns;
        window = arena.Take<int>("dead window", capacity);
        deadSlot = arena.Take<int>("latent to dead slot", n);
        deadCode = arena.Take<float>("dead code", capacity * lanes);
        deadCodeGrad = arena.Take<float>("dead code gradient", capacity * lanes);
        deadDecoder = arena.Take<float>("dead decoder, turned", capacity * lo);
        deadResidual = arena.Take<float>("dead residual", capacity > 0 ? (long)B * lo : 0);
        deadResidualT = arena.Take<float>("dead residual, turned", capacity > 0 ? (long)workers.Count * lo * Gemm.TileColumns : 0);
        deadEncGrad = arena.Take<float>("dead gradient of w_enc", capacity * ld);
        deadDecGrad = arena.Take<float>("dead gradient of w_dec", capacity * lo);
        deadBiasGrad = arena.Take<float>("dead gradient of b_enc", capacity);
        deadErrors = arena.Take<double>("dead errors", panels);
    }

    public void AuxLoss()
    {
        if (Spec.Aux is null && Spec.Ghost is null) return;
        if (Spec.Ghost is not null && scalars.AllDead == 1) FindDead(scalars.Step - 1, 0);
        if (Spec.Aux is { } aux && !SetAuxScale(aux) || windowLength == 0) return;
        if (Spec.Ghost is not null) deadScale = 2 * scalars.LossScale;
        workers.Run(lo / 16, turnPart ??= (part, _) => TurnDecoder(Window, part, deadDecoder));
        workers.Run(panels, deadRowsPart ??= DeadRows);
        double error = 0;
        for (var panel = 0; panel < panels; panel++) error += deadErrors[panel];
        if (Spec.Ghost is null) sums.AuxSquaredError = error; else sums.Ghost = error;
        workers.Run((windowLength + Gemm.TileRows - 1) / Gemm.TileRows, deadGradPart ??= DeadGradients);
    }

    /// <summary>2α min(D / k_aux, 1) / Σ‖e − ē‖²; false where there is nothing to learn from.</summary>
    bool SetAuxScale(AuxLoss aux)
    {
        ColumnTotals(sumE, columns);
        var variance = sums.SquaredError;
        for (var i = 0; i < lo; i++) variance -= columns[i] * columns[i] / B;
        sums.AuxVariance = Math.Max(0, variance);
        deadScale = variance > 0 ? (float)(2 * scalars.AuxCoefficient * Math.Min((double)dead / aux.K, 1) / variance) : 0;
        return true;
    }

    /// <summary>One panel of 48 rows: pre-activations of the window, code, ê, r and ∂z.</summary>
    [SkipLocalsInit]
    void DeadRows(int panel, int worker)
    {
        var buffer = stackalloc float[TileFloats + 16];
        var tile = Align(buffer);
        var start = panel * Gemm.TileColumns;
        var code = deadCode + start;
        for (var s = 0; s < windowLength; s += Gemm.TileRows)
        {
            PreActTile(Window, s, panel, tile);
            StoreTile(tile, code + (long)s * lanes, Math.Min(Gemm.TileRows, windowLength - s));
        }
        if (Spec.Aux is { } aux) SelectDead(aux, code, start, worker);
        else Exponentials(code, start);

        var turned = deadResidualT + (long)worker * lo * Gemm.TileColumns;
        new Span<float>(turned, lo * Gemm.TileColumns).Clear();
        AddReconstruction(deadDecoder, windowLength, code, turned);
        deadErrors[panel] = Spec.Ghost is null ? AddResidual(turned, start) : ScaleGhost(turned, code, start);

        for (var s = 0; s < windowLength; s += Gemm.TileRows)
        {
            ResidualTile(Window, s, turned, tile);
            for (var r = 0; r < Math.Min(Gemm.TileRows, windowLength - s); r++)
                for (var lane = 0; lane < Gemm.TileColumns; lane++)
                {
                    var at = (long)(s + r) * lanes + lane;
                    var slope = code[at] == 0 ? 0 : Spec.Ghost is null ? 1 : code[at];      // ∂c/∂z
                    deadCodeGrad[at + start] = slope * tile[r * Gemm.TileColumns + lane];
                }
        }
    }

    /// <summary>Leaves the k_aux largest pre-activations of each row, and ReLU where the spec asks; zeros elsewhere and beyond the batch.</summary>
    void SelectDead(AuxLoss aux, float* code, int start, int worker)
    {
        var keys = selectScratch + (long)worker * ScratchLength;
        for (var lane = 0; lane < Gemm.TileColumns; lane++)
        {
            ulong least = 0;
            if (windowLength > aux.K)
            {
                for (var s = 0; s < windowLength; s++) keys[s] = Key(code[(long)s * lanes + lane], s);
                least = Quickselect(keys, windowLength, windowLength - aux.K);
            }
            for (var s = 0; s < windowLength; s++)
            {
                var z = code[(long)s * lanes + lane];
                var kept = start + lane < B && !float.IsNaN(z) && (z > 0 || !aux.Relu) && Key(z, s) >= least;
                if (!kept) code[(long)s * lanes + lane] = 0;
            }
        }
    }

    void Exponentials(float* code, int start)
    {
        for (var s = 0; s < windowLength; s++)
            for (var lane = 0; lane < Gemm.TileColumns; lane++)
            {
                var at = (long)s * lanes + lane;
                code[at] = start + lane < B ? MathF.Exp(code[at]) : 0;
            }
    }

    /// <summary>r = ê + e for a panel, in both layouts; returns Σ‖r‖².</summary>
    double AddResidual(float* turned, int start)
    {
        double error = 0;
        for (var lane = 0; lane < Gemm.TileColumns && start + lane < B; lane++)
        {
            float* e = residual + (long)(start + lane) * lo, r = deadResidual + (long)(start + lane) * lo;
            var column = turned + lane;
            for (var i = 0; i < lo; i++, column += Gemm.TileColumns) r[i] = *column += e[i];
            error += Rows.SquaredNorm(r, lo);
        }
        return error;
    }

    /// <summary>The ghost reconstruction g scaled to half the residual's norm; r = q (s g + e) with q the main error over the ghost's. The code takes s. Returns Σ q ‖s g + e‖².</summary>
    double ScaleGhost(float* turned, float* code, int start)
    {
        double loss = 0;
        for (var lane = 0; lane < Gemm.TileColumns && start + lane < B; lane++)
        {
            float* e = residual + (long)(start + lane) * lo, r = deadResidual + (long)(start + lane) * lo;
            var column = turned + lane;
            for (var i = 0; i < lo; i++) r[i] = column[i * Gemm.TileColumns];
            var error = Rows.SquaredNorm(e, lo);
            var s = (float)(Math.Sqrt(error) / (2 * Math.Sqrt(Rows.SquaredNorm(r, lo)) + 1e-6));
            for (var i = 0; i < lo; i++) r[i] = s * r[i] + e[i];
            var ghost = Rows.SquaredNorm(r, lo);
            var q = (float)(error / (ghost + 1e-6));
            for (var i = 0; i < lo; i++) column[i * Gemm.TileColumns] = r[i] *= q;
            for (var slot = 0; slot < windowLength; slot++) code[(long)slot * lanes + lane] *= s;
            loss += q * ghost;
        }
        return loss;
    }

    /// <summary>∂WDec = Σ c r and ∂WEnc = Σ ∂z (x − b_dec) for eight slots.</summary>
    void DeadGradients(int part, int worker)
    {
        var first = part * Gemm.TileRows;
        var count = Math.Min(Gemm.TileRows, windowLength - first);
        Product(deadCode + (long)first * lanes, count, deadResidual, lo, deadScale, deadDecGrad + (long)first * lo);
        Product(deadCodeGrad + (long)first * lanes, count, centered, ld, deadScale, deadEncGrad + (long)first * ld);
        for (var s = first; s < first + count; s++)
        {
            float sum = 0;
            for (var b = 0; b < B; b++) sum += deadCodeGrad[(long)s * lanes + b];
            deadBiasGrad[s] = deadScale * sum;
        }
    }
}
