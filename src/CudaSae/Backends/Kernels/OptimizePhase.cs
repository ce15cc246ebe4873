using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends.Kernels;

/// <summary>optimize: one visit to each latent (kernels/update.cu), then b_dec and the gradient norm (kernels/bias.cu).</summary>
sealed class OptimizePhase
{
    const int Block = 256, PartEntries = 256, MaxBlocks = 1024;

    readonly KernelContext context;
    readonly BackwardPhase backward;
    readonly DecodePhase decode;
    readonly DeviceArray<float> mEnc, vEnc, mDec, vDec, mBEnc, vBEnc, mBDec, vBDec, emaEnc, emaDec, emaBEnc, emaBDec, parts, partsBias, biasParts, biasGrad, clipFactor;
    readonly DeviceArray<int> lastTouched;
    readonly DeviceArray<double> normParts;
    readonly int blocks;

    public OptimizePhase(KernelContext context, BackwardPhase backward, DecodePhase decode)
    {
        (this.context, this.backward, this.decode) = (context, backward, decode);
        var (arena, config) = (context.Arena, context.Config);
        long n = context.Latents, ld = context.Pitch, matrix = n * ld;
        var adam = config.Optimizer == OptimizerKind.Adam;
        var moments = adam ? matrix : 0;
        mEnc = arena.Take<float>("adam m, w_enc", config.Beta1 > 0 ? moments : 0);
        mDec = arena.Take<float>("adam m, w_dec", config.Beta1 > 0 ? moments : 0);
        vEnc = arena.Take<float>("adam v, w_enc", moments);
        vDec = arena.Take<float>("adam v, w_dec", moments);
        mBEnc = arena.Take<float>("adam m, b_enc", n);
        vBEnc = arena.Take<float>("adam v, b_enc", n);
        mBDec = arena.Take<float>("adam m, b_dec", ld);
        vBDec = arena.Take<float>("adam v, b_dec", ld);
        var average = config.EmaDecay > 0;
        emaEnc = arena.Take<float>("average of w_enc", average ? matrix : 0);
        emaDec = arena.Take<float>("average of w_dec", average ? matrix : 0);
        emaBEnc = arena.Take<float>("average of b_enc", average ? n : 0);
        emaBDec = arena.Take<float>("average of b_dec", average ? ld : 0);
        lastTouched = arena.Take<int>("step of last update", config.Lazy ? n : 0);
        // A run of more than 256 entries has ceil(length / 256) parts: less than two for every 257 entries.
        var entries = (long)context.Rows * context.Active;
        var most = context.Rows > PartEntries ? 2 * entries / (PartEntries + 1) + 1 : 0;
        parts = arena.Take<float>("long runs, partial sums", most * 2 * ld);
        partsBias = arena.Take<float>("long runs, bias sums", most);
        blocks = (int)Math.Min(n, MaxBlocks);
        biasParts = arena.Take<float>("b_dec partial sums", blocks * ld);
        biasGrad = arena.Take<float>("b_dec gradient", ld);
        clipFactor = arena.Take<float>("clip factor", 1);
        normParts = arena.Take<double>("gradient norms", blocks);
        GradientNorm = arena.Take<double>("gradient norm", 1);
    }

    /// <summary>[1] global norm of the last step, after projection and before clipping; NaN before the first.</summary>
    public DeviceArray<double> GradientNorm { get; }

    public DeviceArray<float> AverageEnc => emaEnc;
    public DeviceArray<float> AverageDec => emaDec;
    public DeviceArray<float> AverageBEnc => emaBEnc;
    public DeviceArray<float> AverageBDec => emaBDec;

    public IEnumerable<(StateArray Array, ulong Pointer)> State
    {
        get
        {
            long n = context.Latents, ld = context.Pitch;
            (string, DeviceArray<float>, long[])[] floats =
            [
                ("adam_m_enc", mEnc, [n, ld]), ("adam_m_dec", mDec, [n, ld]), ("adam_v_enc", vEnc, [n, ld]), ("adam_v_dec", vDec, [n, ld]),
                ("adam_m_b_enc", mBEnc, [n]), ("adam_v_b_enc", vBEnc, [n]), ("adam_m_b_dec", mBDec, [ld]), ("adam_v_b_dec", vBDec, [ld]),
                ("ema_w_enc", emaEnc, [n, ld]), ("ema_w_dec", emaDec, [n, ld]), ("ema_b_enc", emaBEnc, [n]), ("ema_b_dec", emaBDec, [ld]),
            ];
            foreach (var (name, array, shape) in floats)
                if (array.Length > 0) yield return (new(name, "F32", shape), array.Pointer);
            if (lastTouched.Length > 0) yield return (new("last_touched", "I32", [n]), lastTouched.Pointer);
            yield return (new("previous_norm", "U8", [sizeof(double)]), GradientNorm.Pointer);
        }
    }

    public void Run()
    {
        var clip = context.Config.Clip;
        var bias = BiasParameters();
        if (context.Rows > PartEntries) context.Launch("update_parts", new(Math.Min(MaxBlocks, context.Blocks(backward.Entry.Length, PartEntries)), Block), UpdateParameters(measure: false));
        if (clip == ClipKind.GlobalNorm)
        {
            Update(measure: true);
            Measure(bias);
        }
        context.Launch("bias_clip", new(1, 32), bias);
        Update(measure: false);
        if (clip != ClipKind.GlobalNorm) Measure(bias);
        context.Launch("bias_move", new(1, Block, 64), bias);
    }

    void Update(bool measure) => context.Launch("update", new(blocks, Block, 3 * context.Pitch * 4 + 128), UpdateParameters(measure));

    void Measure(in BiasParams bias)
    {
        context.Launch("bias_gradient", new(context.Blocks(context.Pitch, Block), Block), bias);
        context.Launch("bias_norm", new(1, Block, 64), bias);
    }

    UpdateParams UpdateParameters(bool measure)
    {
        var buffers = context.Buffers;
        return new()
        {
            Start = backward.Start.Pointer, Entry = backward.Entry.Pointer, Value = buffers.Value.Pointer, ValueGrad = buffers.ValueGrad.Pointer,
            Residual = buffers.ResidualBf16.Pointer, XCentered = buffers.XCentered.Pointer,
            AuxSlot = context.Spec.Aux is null ? 0 : buffers.AuxSlot.Pointer, AuxEncGrad = buffers.AuxEncGrad.Pointer,
            AuxDecGrad = buffers.AuxDecGrad.Pointer, AuxBiasGrad = buffers.AuxBiasGrad.Pointer, Scalars = buffers.Scalars.Pointer, ClipFactor = clipFactor.Pointer,
            Parts = parts.Pointer, PartsBias = partsBias.Pointer, WEncHi = buffers.WEncHi.Pointer, WEncLo = buffers.WEncLo.Pointer,
            WDecHi = buffers.WDecHi.Pointer, WDecLo = buffers.WDecLo.Pointer, BEnc = buffers.BEnc.Pointer, MEnc = mEnc.Pointer, VEnc = vEnc.Pointer,
            MDec = mDec.Pointer, VDec = vDec.Pointer, MBEnc = mBEnc.Pointer, VBEnc = vBEnc.Pointer, EmaEnc = emaEnc.Pointer, EmaDec = emaDec.Pointer, EmaBEnc = emaBEnc.Pointer,
            LastTouched = lastTouched.Pointer, BiasParts = biasParts.Pointer, NormParts = normParts.Pointer,
            Latents = context.Latents, Pitch = context.Pitch, Active = context.Active, Unit = context.Spec.DecoderNorm == DecoderNorm.Unit ? 1 : 0,
            Adam = context.Config.Optimizer == OptimizerKind.Adam ? 1 : 0, ClipRows = context.Config.Clip == ClipKind.PerRow ? 1 : 0, Measure = measure ? 1 : 0,
        };
    }

    BiasParams BiasParameters()
    {
        var buffers = context.Buffers;
        return new()
        {
            Scalars = buffers.Scalars.Pointer, ResidualParts = decode.ResidualParts.Pointer, BiasParts = biasParts.Pointer, NormParts = normParts.Pointer,
            Gradient = biasGrad.Pointer, Norm = GradientNorm.Pointer, ClipFactor = clipFactor.Pointer, BDec = buffers.BDec.Pointer,
            M = mBDec.Pointer, V = vBDec.Pointer, Ema = emaBDec.Pointer, RowBlocks = decode.RowBlocks, Blocks = blocks, Pitch = context.Pitch,
            Adam = context.Config.Optimizer == OptimizerKind.Adam ? 1 : 0, ClipRows = context.Config.Clip == ClipKind.PerRow ? 1 : 0,
            Clip = context.Config.Clip is ClipKind.PreviousNorm or ClipKind.GlobalNorm ? 1 : 0,
        };
    }
}
