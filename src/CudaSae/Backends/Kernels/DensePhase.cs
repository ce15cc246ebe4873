using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>The dense path of thresholded selections (kernels/dense.cu, product.cu): latents in chunks against the whole batch; forward, then gradients and update chunk by chunk.</summary>
sealed unsafe class DensePhase
{
    const int Block = 256, ChunkTarget = 2048;

    readonly KernelContext context;
    readonly DecodePhase decode;
    readonly EntriesPhase entries;
    readonly DeviceArray<float> z, grad, gate, enc, dec, aboveGap;
    readonly DeviceArray<int> above;
    readonly int width;

    public DensePhase(KernelContext context, DecodePhase decode, EntriesPhase entries)
    {
        (this.context, this.decode, this.entries) = (context, decode, entries);
        width = Math.Min(ChunkTarget, context.Latents);
        var (arena, rows, gated) = (context.Arena, (long)context.Rows, context.Loss.Selection == 3);
        z = arena.Take<float>("chunk code", rows * width);
        grad = arena.Take<float>("chunk code gradient", rows * width);
        gate = arena.Take<float>("chunk gate", gated ? rows * width : 0);
        enc = arena.Take<float>("chunk gradient of w_enc", (long)width * context.Pitch);
        dec = arena.Take<float>("chunk gradient of w_dec", (long)width * context.OutPitch);
        above = arena.Take<int>("chunk rows above", width);
        aboveGap = arena.Take<float>("chunk gaps", width);
        RowNear = arena.Take<int>("entries by row", rows);
    }

    /// <summary>[B] entries of a row, those near a threshold included.</summary>
    public DeviceArray<int> RowNear { get; }

    /// <param name="baseline">[B, lo] of a skip connection.</param>
    public void Forward(DeviceArray<float> baseline)
    {
        var (buffers, B, lo, stream) = (context.Buffers, context.Rows, context.OutPitch, context.Stream);
        foreach (var (pointer, count) in new[] { (RowNear.Pointer, B), (decode.RowActive.Pointer, B), (entries.RowPenalty.Pointer, 4 * B), (buffers.Firings.Pointer, context.Latents) })
            context.Device.Fill32(pointer, 0, count, stream);
        Start(buffers.Residual, baseline);
        if (gate.Length > 0) Start(buffers.GateResidual, baseline);
        for (var first = 0; first < context.Latents; first += width)
        {
            var count = Math.Min(width, context.Latents - first);
            PreActs(first, count);
            context.Launch("dense_code", new(B, Block, 64), new DenseCodeParams
            {
                Loss = context.Loss, Scalars = buffers.Scalars.Pointer, Latents = LatentsFrom(first), BEnc = buffers.BEnc.Pointer + (ulong)first * 4, Z = z.Pointer, Code = z.Pointer,
                Gate = gate.Pointer, RowActive = decode.RowActive.Pointer, RowNear = RowNear.Pointer, RowPenalty = entries.RowPenalty.Pointer,
                Firings = buffers.Firings.Pointer + (ulong)first * 4, Rows = B, Width = count, Pitch = width,
            });
            AddReconstruction(z, buffers.Residual, first, count);
            if (gate.Length > 0) AddReconstruction(gate, buffers.GateResidual, first, count);
        }
        Finish(buffers.Residual, buffers.ResidualBf16, buffers.RowError, decode.RowNorm, decode.RowReconstruction);
        if (gate.Length > 0) Finish(buffers.GateResidual, buffers.GateResidualBf16, decode.RowGateError, default, default);
        decode.SumColumns();
        entries.SetStepPenalty(decode.RowActive);
    }

    void Start(DeviceArray<float> xhat, DeviceArray<float> baseline)
    {
        if (baseline.Length > 0) context.Device.CopyOnDevice(xhat.Pointer, baseline.Pointer, baseline.Bytes, context.Stream);
        else context.Device.Fill32(xhat.Pointer, 0, xhat.Length, context.Stream);
    }

    ulong LatentsFrom(int first) => context.Buffers.Latents.Pointer + (ulong)first * (ulong)sizeof(LatentScalars);

    void PreActs(int first, int count)
    {
        int ld = context.Pitch;
        context.Product(context.Rows, count, ld, new()
        {
            A = context.Buffers.XCentered.Pointer, AM = ld, AK = 1, ABf16 = 1, B = context.Buffers.WEncHi.Pointer + (ulong)first * (ulong)ld * 2, BK = 1, BN = ld, BBf16 = 1,
            C = z.Pointer, CPitch = width,
        });
    }

    ulong Decoder(int first) => context.Buffers.WDecHi.Pointer + (ulong)first * (ulong)context.OutPitch * 2;

    void AddReconstruction(DeviceArray<float> code, DeviceArray<float> to, int first, int count) => context.Product(context.Rows, context.OutPitch, count, new()
    {
        A = code.Pointer, AM = width, AK = 1, B = Decoder(first), BK = context.OutPitch, BN = 1, BBf16 = 1, Add = to.Pointer, C = to.Pointer, CPitch = context.OutPitch,
    });

    void Finish(DeviceArray<float> residual, DeviceArray<ushort> half, DeviceArray<float> error, DeviceArray<float> norm, DeviceArray<float> reconstruction) =>
        context.Launch("dense_residual", new(context.Rows, Block, 64), new DenseResidualParams
        {
            Xhat = residual.Pointer, BDec = context.Buffers.BDec.Pointer, Y = context.Buffers.Y.Pointer, Residual = residual.Pointer, ResidualBf16 = half.Pointer,
            RowError = error.Pointer, RowNorm = norm.Pointer, RowReconstruction = reconstruction.Pointer, Pitch = context.OutPitch,
        });

    /// <summary>Gradients of each chunk in turn, handed to <paramref name="update"/> as (first, count, enc, dec).</summary>
    public void Visit(Action<int, int, DeviceArray<float>, DeviceArray<float>> update)
    {
        var buffers = context.Buffers;
        for (var first = 0; first < context.Latents; first += width)
        {
            var count = Math.Min(width, context.Latents - first);
            PreActs(first, count);
            Dots(buffers.Residual, grad, first, count);
            if (gate.Length > 0) Dots(buffers.GateResidual, gate, first, count);
            context.Launch("dense_gradient", new(context.Blocks(count, Block), Block), new DenseGradientParams
            {
                Loss = context.Loss, Scalars = buffers.Scalars.Pointer, Latents = LatentsFrom(first), BEnc = buffers.BEnc.Pointer + (ulong)first * 4, StepPenalty = entries.StepPenalty.Pointer,
                Z = z.Pointer, Grad = grad.Pointer, Gate = gate.Pointer, Sums = buffers.LatentGrads.Pointer + (ulong)first * (ulong)sizeof(EntryGradient),
                Above = above.Pointer, AboveGap = aboveGap.Pointer, Rows = context.Rows, Width = count, Pitch = width,
            });
            RowGradient(z, buffers.ResidualBf16, dec, count, context.OutPitch);
            if (context.Loss.LiveGate == 1) RowGradient(gate, buffers.GateResidualBf16, dec, count, context.OutPitch, add: true);
            RowGradient(grad, buffers.XCentered, enc, count, context.Pitch);
            entries.SumChunk(first, count, above, aboveGap);
            update(first, count, enc, dec);
        }
    }

    /// <summary>to [B, W] = E WDecᵀ.</summary>
    void Dots(DeviceArray<float> residual, DeviceArray<float> to, int first, int count) => context.Product(context.Rows, count, context.OutPitch, new()
    {
        A = residual.Pointer, AM = context.OutPitch, AK = 1, B = Decoder(first), BK = 1, BN = context.OutPitch, BBf16 = 1, C = to.Pointer, CPitch = width,
    });

    /// <summary>to [W, pitch] = codeᵀ rows.</summary>
    void RowGradient(DeviceArray<float> code, DeviceArray<ushort> rows, DeviceArray<float> to, int count, int pitch, bool add = false) => context.Product(count, pitch, context.Rows, new()
    {
        A = code.Pointer, AM = 1, AK = width, B = rows.Pointer, BK = pitch, BN = 1, BBf16 = 1, Add = add ? to.Pointer : 0, C = to.Pointer, CPitch = pitch,
    });
}
