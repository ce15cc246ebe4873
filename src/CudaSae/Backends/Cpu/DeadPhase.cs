using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>aux: AuxK or ghost gradients as dense products on the window of dead latents. W is the window's
/// length.</summary>
sealed unsafe class DeadPhase : CpuPart
{
    readonly Residuals residuals;
    readonly DeadWindow window;
    readonly DenseProducts products;
    readonly float* wEnc, wDec, bEnc, input, centered, residual;
    readonly float* enc, dec, bias;                 // [W, ld], [W, lo], [W] the window's weights, side by side
    readonly float* decoder;                        // [lo, stride] its decoder rows, transposed
    readonly float* panelCode;                      // [places, W, 48] c of a panel
    readonly float* panelResidual;                  // [places, lo, 48] r of a panel
    readonly float* code, codeGrad;                 // [W, lanes] c and ∂z without the common scale
    readonly DeadResiduals deadResiduals;
    readonly float* packedInput;                    // x − b_dec in column panels
    readonly double* errors;                        // [panels] Σ‖r‖², or the ghost loss
    readonly Spread residualSpread;                 // of e, for AuxK
    readonly ShardAux? ranks;
    readonly FixedWindow? fixedWindow;
    readonly bool ghost;
    readonly Action<int, int> gatherPart, panelPart, gradientPart, spreadPart;
    readonly Action<int, int> preActPart, reconstructPart, finishPart, reconstruct;     // of several ranks
    float scale;                                    // common to all gradients of the window
    int firstSlot, slots;                           // of the stretch in work on several ranks

    public DeadPhase(CpuContext context, Residuals residuals, DeadWindow window) : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        // A panel in work has the place of its thread. On several ranks each panel has a place.
        long capacity = spec.DeadWindow, places = shard is null ? workers.Count : panels;
        (this.residuals, this.window, products) = (residuals, window, context.Products);
        wEnc = buffers.WEnc;
        wDec = buffers.WDec;
        bEnc = buffers.BEnc;
        residual = buffers.Residual;
        input = buffers.Packed;
        centered = buffers.Centered;
        ghost = spec.Ghost is not null;
        enc = arena.Take<float>("dead w_enc", capacity * ld);
        dec = arena.Take<float>("dead w_dec", (capacity + 15 & ~15) * lo);
        bias = arena.Take<float>("dead b_enc", capacity);
        decoder = arena.Take<float>("dead w_dec, turned", (capacity + 15 & ~15) * lo);
        panelCode = arena.Take<float>("dead code, a panel", places * capacity * Gemm.TileColumns);
        code = arena.Take<float>("dead code", capacity * lanes);
        codeGrad = arena.Take<float>("dead code gradient", capacity * lanes);
        deadResiduals = new(context);
        packedInput = arena.Take<float>("dead input, packed", products.PackedLength(ld));
        panelResidual = arena.Take<float>("dead residual, turned", places * lo * Gemm.TileColumns);
        errors = arena.Take<double>("dead errors", panels);
        if (!ghost) residualSpread = new(arena, "e", B, lo, RowBlock);
        if (shard is not null) ranks = new(context, shard, window);
        if (shard is { Order: SumOrder.Fixed }) fixedWindow = new(context, shard, window);
        (gatherPart, panelPart, gradientPart, spreadPart) = (Gather, Panel, Gradients, AddSpread);
        (preActPart, reconstructPart, finishPart, reconstruct) = (PreActs, ReconstructPart, Finish, Reconstruct);
    }

    int Stride => (window.Length + 15) & ~15;       // of the transposed decoder

    public void Run()
    {
        if (ghost && step.Scalars.AllDead == 1) window.Find(step.Scalars.Step - 1, 0);
        if (spec.Aux is { } aux) scale = AuxScale(aux);
        else scale = 2 * step.Scalars.LossScale;
        if (window.Total == 0) return;
        workers.Run(Stride / 16, gatherPart);
        if (ranks is null) workers.Run(panels, panelPart);
        else RunOnRanks(ranks);
        double error = 0;
        for (var panel = 0; panel < panels; panel++) error += errors[panel];
        if (ghost) step.Sums.Ghost = error;
        else step.Sums.AuxSquaredError = error;
        workers.Run(DenseProducts.ProductParts(window.Length, lo) + DenseProducts.ProductParts(window.Length, ld),
            gradientPart);
    }

    /// <summary>The panels on several ranks: each part of <see cref="Panel"/> for all of them.</summary>
    void RunOnRanks(ShardAux ranks)
    {
        workers.Run(panels, preActPart);
        if (ranks.Selects) ranks.Select(panelCode, spec.DeadWindow);
        NativeMemory.Clear(panelResidual, (nuint)lanes * (nuint)lo * sizeof(float));
        if (fixedWindow is null) ranks.Sum(panelResidual, reconstruct);
        else fixedWindow.Sum(panelCode, decoder, Stride, panelResidual);
        workers.Run(panels, finishPart);
    }

    /// <summary>2α min(dead / k_aux, 1) / Σ‖e − ē‖²; 0 where e does not vary. Σ‖e‖² − ‖Σe‖² / B is used where it agrees
    /// with the sum about the mean: docs/internals/decisions/0010-sums-about-a-mean.md.</summary>
    float AuxScale(AuxLoss aux)
    {
        var columns = residuals.ColumnsOfError();
        workers.Run(rowBlocks, spreadPart);
        double variance = step.Sums.SquaredError, spread = residualSpread.Total();
        for (var i = 0; i < lo; i++) variance -= columns[i] * columns[i] / B;
        if (!(Math.Abs(variance - spread) <= 1e-4 * spread)) variance = spread;
        step.Sums.AuxVariance = variance;
        return variance > 0
            ? (float)(2 * step.Scalars.AuxCoefficient * Math.Min((double)window.Dead / aux.K, 1) / variance) : 0;
    }

    void AddSpread(int block, int worker) => residualSpread.AddBlock(residual, block);

    /// <summary>Copies sixteen of the window's latents side by side. Every panel reads them, and reading scattered rows
    /// reaches four fifths of the speed.</summary>
    void Gather(int part, int worker)
    {
        for (var s = part * 16; s < Math.Min(part * 16 + 16, window.Length); s++)
        {
            var f = window.Latent[s];
            new ReadOnlySpan<float>(wEnc + (long)f * ld, ld).CopyTo(new(enc + (long)s * ld, ld));
            new ReadOnlySpan<float>(wDec + (long)f * lo, lo).CopyTo(new(dec + (long)s * lo, lo));
            bias[s] = bEnc[f];
        }
        // Slots past the last one are transposed with their old contents; no product reads them.
        var stride = Stride;
        for (var i = 0; i < lo; i++)
            Rows.Column(dec + (long)part * 16 * lo + i, lo).Store(decoder + (long)i * stride + part * 16);
    }

    /// <summary>One panel of 48 rows: pre-activations of the window, code, ê, r and ∂z.</summary>
    void Panel(int panel, int worker)
    {
        PreActs(panel, worker);
        new Span<float>(Residual(panel, worker), lo * Gemm.TileColumns).Clear();
        products.ContinueReconstruction(decoder, Stride, window.Length, Code(panel, worker), Residual(panel, worker));
        Finish(panel, worker);
    }

    /// <summary>[W, 48] c of a panel.</summary>
    float* Code(int panel, int worker) =>
        panelCode + (long)(ranks is null ? worker : panel) * spec.DeadWindow * Gemm.TileColumns;

    /// <summary>[lo, 48] r of a panel.</summary>
    float* Residual(int panel, int worker) =>
        panelResidual + (long)(ranks is null ? worker : panel) * lo * Gemm.TileColumns;

    /// <summary>Pre-activations of the window, and the code unless several ranks select it together.</summary>
    [SkipLocalsInit]
    void PreActs(int panel, int worker)
    {
        var tile = GemmRows.Aligned(stackalloc float[GemmRows.BufferFloats]);
        int start = panel * Gemm.TileColumns, length = window.Length;
        var c = Code(panel, worker);
        for (var s = 0; s < length; s += Gemm.TileRows)
        {
            GemmRows.Tile(enc + (long)s * ld, ld, length - s, bias + s, input + (long)panel * ld * Gemm.TileColumns, ld,
                tile);
            var floats = Math.Min(Gemm.TileRows, length - s) * Gemm.TileColumns;
            new ReadOnlySpan<float>(tile, floats).CopyTo(new(c + s * Gemm.TileColumns, floats));
        }
        if (spec.Aux is not { } aux) Exponentials(c, start);
        else if (ranks is not { Selects: true }) AuxSelection.Keep(aux, c, length, B - start);
    }

    void Reconstruct(int first, int count)
    {
        (firstSlot, slots) = (first, count);
        workers.Run(panels, reconstructPart);
    }

    void ReconstructPart(int panel, int worker) => products.ContinueReconstruction(decoder + firstSlot, Stride, slots,
        Code(panel, worker) + (long)firstSlot * Gemm.TileColumns, Residual(panel, worker));

    /// <summary>r and ∂z of a panel from its code and ê.</summary>
    [SkipLocalsInit]
    void Finish(int panel, int worker)
    {
        var tile = GemmRows.Aligned(stackalloc float[GemmRows.BufferFloats]);
        int start = panel * Gemm.TileColumns, length = window.Length;
        float* c = Code(panel, worker), r = Residual(panel, worker);
        errors[panel] = ghost ? deadResiduals.ScaleGhost(r, c, length, start, worker)
            : deadResiduals.Add(r, start, worker);
        products.StoreTile(c, code + start, length);

        for (var s = 0; s < length; s += Gemm.TileRows)
        {
            GemmRows.Tile(dec + (long)s * lo, lo, length - s, null, r, lo, tile);
            var count = Math.Min(Gemm.TileRows, length - s);
            MultiplyBySlope(tile, c + s * Gemm.TileColumns, count * Gemm.TileColumns);
            products.StoreTile(tile, codeGrad + (long)s * lanes + start, count);
        }
        for (var b = start; b < Math.Min(start + Gemm.TileColumns, B); b++)
            products.PackRow(centered + (long)b * ld, b, ld, packedInput);
    }

    /// <summary>∂z = ∂c/∂z ∂c. For AuxK the slope is 1 where a latent is selected and 0 elsewhere; for ghosts it is
    /// the value.</summary>
    void MultiplyBySlope(float* gradient, float* c, int length)
    {
        for (var i = 0; i < length; i += 16)
        {
            Vector512<float> v = Vector512.Load(c + i), g = Vector512.Load(gradient + i);
            Vector512.ConditionalSelect(Vector512.Equals(v, Vector512<float>.Zero), Vector512<float>.Zero,
                ghost ? v * g : g).Store(gradient + i);
        }
    }

    void Exponentials(float* c, int start)
    {
        for (var s = 0; s < window.Length; s++, c += Gemm.TileColumns)
            for (var lane = 0; lane < Gemm.TileColumns; lane++)
                c[lane] = start + lane < B ? MathF.Exp(c[lane]) : 0;
    }

    /// <summary>A part of ∂WDec = Σ c r or of ∂WEnc = Σ ∂z (x − b_dec); ∂b_enc with the latter's first
    /// columns.</summary>
    void Gradients(int part, int worker)
    {
        var length = window.Length;
        var decoderParts = DenseProducts.ProductParts(length, lo);
        if (part < decoderParts)
        {
            products.Product(part, code, length, deadResiduals.Packed, lo, scale, window.DecGrad);
            return;
        }
        part -= decoderParts;
        products.Product(part, codeGrad, length, packedInput, ld, scale, window.EncGrad);
        var first = part * DenseProducts.SlotBlock;
        for (var s = first; s < Math.Min(first + DenseProducts.SlotBlock, length); s++)
            window.BiasGrad[s] = scale * Rows.Sum(codeGrad + (long)s * lanes, lanes);
    }
}
