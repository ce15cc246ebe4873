using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The dense training path of thresholded selections (kernels/dense.cu, product.cu). It multiplies chunks of
/// latents with the whole batch: first the forward pass, then gradients and update chunk by chunk. With prefixes,
/// chunks end at the end of each prefix, where the partial x̂ is that prefix's reconstruction.</summary>
sealed unsafe class DensePhase
{
    const int Block = 256, ChunkTarget = 2048;

    readonly KernelContext context;
    readonly DecodePhase decode;
    readonly EntriesPhase entries;
    readonly DeviceArray<float> z, grad, gate, enc, dec, aboveGap;
    readonly DeviceArray<int> above;
    readonly int width, levels;

    public DensePhase(KernelContext context, DecodePhase decode, EntriesPhase entries)
    {
        (this.context, this.decode, this.entries) = (context, decode, entries);
        (width, levels) = (Math.Min(ChunkTarget, context.Latents), context.Spec.Levels);
        var (arena, rows, gated) = (context.Arena, (long)context.Rows, context.Loss.Selection == SelectionCode.Gated);
        z = arena.Take<float>("chunk code", rows * width);
        grad = arena.Take<float>("chunk code gradient", rows * width);
        gate = arena.Take<float>("chunk gate", gated ? rows * width : 0);
        enc = arena.Take<float>("chunk gradient of w_enc", (long)width * context.Ld);
        dec = arena.Take<float>("chunk gradient of w_dec", (long)width * context.Lo);
        above = arena.Take<int>("chunk rows above", width);
        aboveGap = arena.Take<float>("chunk gaps", width);
        RowNear = arena.Take<int>("entries by row", rows);
    }

    /// <summary>[B] number of entries of a row, including those near a threshold.</summary>
    public DeviceArray<int> RowNear { get; }

    /// <summary>Widths of the step's prefixes.</summary>
    public Array16<uint> Prefix { get; set; }

    /// <summary>Lists the chunks of latents in order, with the first level that contains each.</summary>
    IEnumerable<(int First, int Count, int Level)> Chunks()
    {
        var level = 0;
        for (int first = 0, count; first < context.Latents; first += count)
        {
            while (level < levels - 1 && first >= EndOf(level)) level++;
            count = Math.Min(width, (level < levels - 1 ? EndOf(level) : context.Latents) - first);
            yield return (first, count, level);
        }
    }

    /// <summary>The end of a prefix among the latents of this rank.</summary>
    int EndOf(int level) => (int)Math.Clamp((long)Prefix[level] - context.First, 0, context.Latents);

    /// <summary>Returns the address of x̂ of a level, [B, lo], which later becomes E.</summary>
    ulong Reconstruction(int level) =>
        levels == 1 ? context.Buffers.Residual.Pointer : context.Buffers.Weighted.Pointer + (ulong)level * Bytes;

    /// <summary>Returns the address of the x̂ of a level over the latents of this rank, [B, lo].</summary>
    ulong OwnReconstruction(int level) => context.Ranks is null ? Reconstruction(level)
        : decode.RankSums.Pointer + (ulong)level * Bytes;

    ulong OwnGateReconstruction =>
        context.Ranks is null ? context.Buffers.GateResidual.Pointer : decode.GateSums.Pointer;

    ulong Bytes => (ulong)context.Rows * (ulong)context.Lo * sizeof(float);

    /// <summary>Runs the forward pass.</summary>
    /// <param name="baseline">[B, lo] output of a skip connection; may be empty.</param>
    public void Forward(DeviceArray<float> baseline)
    {
        var (buffers, B, lo, stream) = (context.Buffers, context.Rows, context.Lo, context.Stream);
        foreach (var (pointer, count) in new[] { (RowNear.Pointer, B), (decode.RowActive.Pointer, B),
            (entries.RowPenalty.Pointer, 4 * B), (buffers.Firings.Pointer, context.Latents) })
            context.Device.Fill32(pointer, 0, count, stream);
        var start = context.Ranks is null ? baseline : default;
        Start(OwnReconstruction(0), start);
        if (gate.Length > 0) Start(OwnGateReconstruction, start);
        var level = 0;
        foreach (var (first, count, own) in Chunks())
        {
            while (level < own) CarryOn(level++);
            PreActs(first, count);
            context.Launch("dense_code", new(B, Block, SharedMemory.BlockSum), new DenseCodeParams
            {
                Loss = context.Loss, Scalars = buffers.Scalars.Pointer, Latents = LatentsFrom(first),
                BEnc = buffers.BEnc.Pointer
                    + (ulong)first * 4, Z = z.Pointer, Code = z.Pointer,
                Gate = gate.Pointer, RowActive = decode.RowActive.Pointer, RowNear = RowNear.Pointer,
                RowPenalty = entries.RowPenalty.Pointer,
                Firings = buffers.Firings.Pointer + (ulong)first * 4, Rows = B, Width = count, Stride = width,
            });
            AddReconstruction(z, OwnReconstruction(level), first, count);
            if (gate.Length > 0) AddReconstruction(gate, OwnGateReconstruction, first, count);
        }
        while (level < levels - 1) CarryOn(level++);
        if (context.Ranks is { } ranks) AddOverRanks(ranks, baseline);
        Finish();
        if (gate.Length > 0) FinishGate();
        decode.SumColumns();
        entries.SetStepPenalty(decode.RowActive);
    }

    void AddOverRanks(RankExchange ranks, DeviceArray<float> baseline)
    {
        ranks.Add(decode.RankSums, baseline);
        if (gate.Length > 0) ranks.Add(decode.GateSums, baseline);
        ranks.Add(entries.RowPenalty);
        ranks.Sum(RowNear);
        ranks.Sum(decode.RowActive);
    }

    void Start(ulong xhat, DeviceArray<float> baseline)
    {
        if (baseline.Length > 0) context.Device.CopyOnDevice(xhat, baseline.Pointer, baseline.Bytes, context.Stream);
        else context.Device.Fill32(xhat, 0, (long)Bytes / sizeof(float), context.Stream);
    }

    /// <summary>Copies the reconstruction of a level as the start of the next level.</summary>
    void CarryOn(int level) =>
        context.Device.CopyOnDevice(OwnReconstruction(level + 1), OwnReconstruction(level), (long)Bytes,
            context.Stream);

    ulong LatentsFrom(int first) => context.Buffers.Latents.Pointer + (ulong)first * (ulong)sizeof(LatentScalars);

    void PreActs(int first, int count)
    {
        int ld = context.Ld;
        context.Product(context.Rows, count, ld, new()
        {
            A = context.Buffers.XCentered.Pointer, AM = ld, AK = 1, ABf16 = 1, B = context.Buffers.WEncHi.Pointer
                + (ulong)first * (ulong)ld * 2, BK = 1, BN = ld, BBf16 = 1,
            C = z.Pointer, CStride = width,
        });
    }

    ulong Decoder(int first) => context.Buffers.WDecHi.Pointer + (ulong)first * (ulong)context.Lo * 2;

    void AddReconstruction(DeviceArray<float> code, ulong to, int first, int count) =>
        context.Product(context.Rows, context.Lo, count, new()
        {
            A = code.Pointer, AM = width, AK = 1, B = Decoder(first), BK = context.Lo, BN = 1, BBf16 = 1,
            Add = to,
            C = to, CStride = context.Lo,
        });

    void Finish()
    {
        var buffers = context.Buffers;
        var parameters = new DenseResidualParams
        {
            Xhat = OwnReconstruction(0), Residual = buffers.Residual.Pointer,
            ResidualBf16 = buffers.ResidualBf16.Pointer, Weighted = buffers.Weighted.Pointer,
            RowError = buffers.RowError.Pointer,
            RowLevelError = decode.RowLevelError.Pointer, RowNorm = decode.RowNorm.Pointer,
            RowReconstruction = decode.RowReconstruction.Pointer, Levels = levels,
        };
        for (var m = 0; m < levels; m++) parameters.LevelWeight[m] = context.LevelWeight(m);
        TakeResidual(parameters);
    }

    void FinishGate()
    {
        var buffers = context.Buffers;
        var parameters = new DenseResidualParams
        {
            Xhat = OwnGateReconstruction, Residual = buffers.GateResidual.Pointer,
            ResidualBf16 = buffers.GateResidualBf16.Pointer, RowError = decode.RowGateError.Pointer, Levels = 1,
        };
        parameters.LevelWeight[0] = 1;
        TakeResidual(parameters);
    }

    void TakeResidual(DenseResidualParams parameters)
    {
        (parameters.BDec, parameters.Y) = (context.Buffers.BDec.Pointer, context.Buffers.Y.Pointer);
        (parameters.Rows, parameters.Lo) = (context.Rows, context.Lo);
        context.Launch("dense_residual", new(context.Rows, Block, SharedMemory.BlockSum), parameters);
    }

    /// <summary>Computes the gradients of each chunk in turn and passes them to <paramref name="update"/> as (first,
    /// count, enc, dec).</summary>
    public void Visit(Action<int, int, DeviceArray<float>, DeviceArray<float>> update)
    {
        var buffers = context.Buffers;
        foreach (var (first, count, level) in Chunks())
        {
            PreActs(first, count);
            Dots(Reconstruction(level), grad, first, count);
            if (gate.Length > 0) Dots(buffers.GateResidual.Pointer, gate, first, count);
            var shape = new Launch((count + 15) / 16, 512, SharedMemory.DenseGradient);
            context.Launch("dense_gradient", shape, new DenseGradientParams
            {
                Loss = context.Loss, Scalars = buffers.Scalars.Pointer, Latents = LatentsFrom(first),
                BEnc = buffers.BEnc.Pointer
                    + (ulong)first * 4, StepPenalty = entries.StepPenalty.Pointer,
                Z = z.Pointer, Grad = grad.Pointer, Gate = gate.Pointer, Sums = buffers.LatentGrads.Pointer
                    + (ulong)first * (ulong)sizeof(EntryGradient),
                Above = above.Pointer, AboveGap = aboveGap.Pointer, Rows = context.Rows, Width = count, Stride = width,
            });
            RowGradient(z, buffers.ResidualBf16.Pointer + (ulong)level * (Bytes / 2), dec, count, context.Lo);
            if (context.Loss.LiveGate == 1)
                RowGradient(gate, buffers.GateResidualBf16.Pointer, dec, count, context.Lo, add: true);
            RowGradient(grad, buffers.XCentered.Pointer, enc, count, context.Ld);
            entries.SumChunk(first, count, above, aboveGap);
            update(first, count, enc, dec);
        }
    }

    /// <summary>Computes to [B, W] = E WDecᵀ.</summary>
    void Dots(ulong residual, DeviceArray<float> to, int first, int count) =>
        context.Product(context.Rows, count, context.Lo, new()
        {
            A = residual, AM = context.Lo, AK = 1, B = Decoder(first), BK = 1, BN = context.Lo, BBf16 = 1,
            C = to.Pointer, CStride = width,
        });

    /// <summary>Computes to [W, rowWidth] = codeᵀ rows, or adds to it.</summary>
    void RowGradient(DeviceArray<float> code, ulong rows, DeviceArray<float> to, int count, int rowWidth,
        bool add = false) =>
        context.Product(count, rowWidth, context.Rows, new()
        {
            A = code.Pointer, AM = 1, AK = width, B = rows, BK = rowWidth, BN = 1, BBf16 = 1, Add = add ? to.Pointer
            : 0, C = to.Pointer, CStride = rowWidth,
        });
}
