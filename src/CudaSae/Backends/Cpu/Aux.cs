using System.Runtime.CompilerServices;

namespace CudaSae.Backends.Cpu;

/// <summary>aux: dense products on the compacted window of dead latents, all by <see cref="Gemm.Tile"/>. W is the window's length.</summary>
public sealed unsafe partial class CpuBackend
{
    int lanes;                              // rows of the batch padded to whole panels
    int* window, auxSlot;                   // [WindowCapacity] latents; [n] slot or −1
    float* auxCode, auxCodeGrad;            // [W, lanes] c and ∂z without the common scale
    float* decoderT;                        // [ld, W] the window's decoder rows, turned
    float* auxResidual, auxResidualT;       // [B, ld] r = ê + e; [workers, ld, 48]
    float* auxEncGrad, auxDecGrad, auxBiasGrad;
    double* auxErrors;                      // [panels] Σ‖r‖²
    int windowLength, dead;
    float auxScale;
    Action<int, int>? turnPart, auxRowsPart, auxGradPart;

    int WindowCapacity => Spec.Aux?.Capacity(n) ?? 0;

    void TakeAux()
    {
        long capacity = WindowCapacity;
        lanes = panels * Gemm.TileColumns;
        window = arena.Take<int>("aux window", capacity);
        auxSlot = arena.Take<int>("latent to aux slot", n);
        auxCode = arena.Take<float>("aux code", capacity * lanes);
        auxCodeGrad = arena.Take<float>("aux code gradient", capacity * lanes);
        decoderT = arena.Take<float>("aux decoder, turned", capacity * ld);
        auxResidual = arena.Take<float>("aux residual", capacity > 0 ? (long)B * ld : 0);
        auxResidualT = arena.Take<float>("aux residual, turned", capacity > 0 ? (long)workers.Count * ld * Gemm.TileColumns : 0);
        auxEncGrad = arena.Take<float>("aux gradient of w_enc", capacity * ld);
        auxDecGrad = arena.Take<float>("aux gradient of w_dec", capacity * ld);
        auxBiasGrad = arena.Take<float>("aux gradient of b_enc", capacity);
        auxErrors = arena.Take<double>("aux errors", panels);
    }

    public void AuxLoss()
    {
        if (Spec.Aux is not { } aux) return;
        ColumnTotals(sumE, columns);
        var variance = sums.SquaredError;
        for (var i = 0; i < ld; i++) variance -= columns[i] * columns[i] / B;
        sums.AuxVariance = Math.Max(0, variance);
        if (windowLength == 0) return;

        auxScale = variance > 0 ? (float)(2 * scalars.AuxCoefficient * Math.Min((double)dead / aux.K, 1) / variance) : 0;
        workers.Run(ld / 16, turnPart ??= TurnDecoder);
        workers.Run(panels, auxRowsPart ??= AuxRows);
        for (var panel = 0; panel < panels; panel++) sums.AuxSquaredError += auxErrors[panel];
        workers.Run((windowLength + Gemm.TileRows - 1) / Gemm.TileRows, auxGradPart ??= AuxGradients);
    }

    void TurnDecoder(int part, int worker)
    {
        for (var s = 0; s < windowLength; s++)
        {
            var row = wDec + (long)window[s] * ld;
            for (var i = part * 16; i < part * 16 + 16; i++) decoderT[(long)i * windowLength + s] = row[i];
        }
    }

    /// <summary>One panel of 48 rows: pre-activations of the window, selection, ê, r and ∂z.</summary>
    [SkipLocalsInit]
    void AuxRows(int panel, int worker)
    {
        var buffer = stackalloc float[Gemm.TileRows * Gemm.TileColumns + 16];
        var tile = (float*)((nint)(buffer + 15) & ~63);
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        var start = panel * Gemm.TileColumns;
        var code = auxCode + start;
        for (var s = 0; s < windowLength; s += Gemm.TileRows)
        {
            for (var r = 0; r < Gemm.TileRows; r++)
            {
                var latent = window[Math.Min(s + r, windowLength - 1)];
                rows[r] = wEnc + (long)latent * ld;
                init[r] = bEnc[latent];
            }
            Gemm.Tile(rows, centeredT + (long)panel * ld * Gemm.TileColumns, Gemm.TileColumns, ld, init, tile);
            CopyTile(tile, code + (long)s * lanes, Math.Min(Gemm.TileRows, windowLength - s));
        }
        SelectDead(code, start, worker);

        var turned = auxResidualT + (long)worker * ld * Gemm.TileColumns;
        for (var r = 0; r < Gemm.TileRows; r++) init[r] = 0;
        for (var i = 0; i < ld; i += Gemm.TileRows)
        {
            for (var r = 0; r < Gemm.TileRows; r++) rows[r] = decoderT + (long)(i + r) * windowLength;
            Gemm.Tile(rows, code, lanes, windowLength, init, turned + i * Gemm.TileColumns);
        }
        auxErrors[panel] = AddResidual(turned, start);

        for (var s = 0; s < windowLength; s += Gemm.TileRows)
        {
            for (var r = 0; r < Gemm.TileRows; r++) rows[r] = wDec + (long)window[Math.Min(s + r, windowLength - 1)] * ld;
            Gemm.Tile(rows, turned, Gemm.TileColumns, ld, init, tile);
            var count = Math.Min(Gemm.TileRows, windowLength - s);
            for (var r = 0; r < count; r++)
                for (var lane = 0; lane < Gemm.TileColumns; lane++)
                    auxCodeGrad[(long)(s + r) * lanes + start + lane] = code[(long)(s + r) * lanes + lane] != 0 ? tile[r * Gemm.TileColumns + lane] : 0;
        }
    }

    void CopyTile(float* tile, float* to, int count)
    {
        for (var r = 0; r < count; r++)
            new ReadOnlySpan<float>(tile + r * Gemm.TileColumns, Gemm.TileColumns).CopyTo(new(to + (long)r * lanes, Gemm.TileColumns));
    }

    /// <summary>Leaves the k_aux largest pre-activations of each row, and ReLU where the spec asks; zeros elsewhere and beyond the batch.</summary>
    void SelectDead(float* code, int start, int worker)
    {
        var aux = Spec.Aux!;
        var keys = selectScratch + (long)worker * Math.Max(capacity, WindowCapacity);
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

    /// <summary>r = ê + e for a panel, in both layouts; returns Σ‖r‖².</summary>
    double AddResidual(float* turned, int start)
    {
        double error = 0;
        for (var lane = 0; lane < Gemm.TileColumns && start + lane < B; lane++)
        {
            float* e = residual + (long)(start + lane) * ld, r = auxResidual + (long)(start + lane) * ld;
            var column = turned + lane;
            for (var i = 0; i < ld; i++, column += Gemm.TileColumns) r[i] = *column += e[i];
            error += Rows.SquaredNorm(r, ld);
        }
        return error;
    }

    /// <summary>∂WDec = Σ c r and ∂WEnc = Σ ∂z (x − b_dec) for eight slots.</summary>
    [SkipLocalsInit]
    void AuxGradients(int part, int worker)
    {
        var first = part * Gemm.TileRows;
        var count = Math.Min(Gemm.TileRows, windowLength - first);
        Product(auxCode, auxResidual, auxDecGrad, first, count);
        Product(auxCodeGrad, centered, auxEncGrad, first, count);
        for (var s = first; s < first + count; s++)
        {
            float sum = 0;
            for (var b = 0; b < B; b++) sum += auxCodeGrad[(long)s * lanes + b];
            auxBiasGrad[s] = auxScale * sum;
        }
    }

    [SkipLocalsInit]
    void Product(float* code, float* rowsOfBatch, float* gradient, int first, int count)
    {
        var buffer = stackalloc float[Gemm.TileRows * Gemm.TileColumns + 16];
        var tile = (float*)((nint)(buffer + 15) & ~63);
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++)
        {
            rows[r] = code + (long)(first + Math.Min(r, count - 1)) * lanes;
            init[r] = 0;
        }
        for (var column = 0; column < ld; column += Gemm.TileColumns)
        {
            Gemm.Tile(rows, rowsOfBatch + column, ld, B, init, tile);
            for (var r = 0; r < count; r++)
                for (var i = 0; i < Math.Min(Gemm.TileColumns, ld - column); i++)
                    gradient[(long)(first + r) * ld + column + i] = auxScale * tile[r * Gemm.TileColumns + i];
        }
    }
}
