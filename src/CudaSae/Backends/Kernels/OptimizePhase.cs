using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The phase optimize: it updates each latent once (kernels/update.cu), then b_dec, the skip connection and
/// the gradient norm (kernels/bias.cu, skip.cu).</summary>
sealed unsafe class OptimizePhase
{
    const int Block = 256, PartEntries = 256;

    readonly KernelContext context;
    readonly BackwardPhase backward;
    readonly DecodePhase decode;
    readonly SkipPhase? skip;
    readonly MomentArrays enc, dec;
    readonly DeviceArray<float> mBDec, vBDec, emaBDec, parts, partsBias, biasParts, biasGrad, clipFactor;
    readonly DeviceArray<int> lastTouched;
    readonly DeviceArray<double> normParts, rankSums;       // rankSums: [P, lo + 1]; empty for one process
    readonly UpdateKernel kernel;

    /// <summary>Takes the phase's memory.</summary>
    /// <param name="general">Whether to use the update kernel for all methods in any case.</param>
    public OptimizePhase(KernelContext context, BackwardPhase backward, DecodePhase decode, SkipPhase? skip,
        bool general = false)
    {
        (this.context, this.backward, this.decode, this.skip) = (context, backward, decode, skip);
        var (arena, config, buffers) = (context.Arena, context.Config, context.Buffers);
        long n = context.Latents, ld = context.Ld, lo = context.Lo;
        enc = new(context, "enc", context.Spec.Tying == Tying.Untied ? n : 0, ld, byLatent: true);
        dec = new(context, "dec", n, lo, byLatent: true);
        BEnc = new(context, "b_enc", buffers.BEnc);
        Threshold = new(context, "threshold", buffers.Threshold);
        BMag = new(context, "b_mag", buffers.BMag);
        RMag = new(context, "r_mag", buffers.RMag);
        TieScale = new(context, "tie_scale", buffers.TieScale);
        mBDec = arena.Take<float>("moment m, b_dec", lo);
        vBDec = arena.Take<float>("moment v, b_dec", lo);
        var average = config.EmaDecay > 0;
        AverageEnc = arena.Take<float>("average of w_enc", average ? n * ld : 0);
        AverageDec = arena.Take<float>("average of w_dec", average ? n * lo : 0);
        emaBDec = arena.Take<float>("average of b_dec", average ? lo : 0);
        lastTouched = arena.Take<int>("step of last update", config.Lazy ? n : 0);
        // A run of more than 256 entries has ceil(length / 256) parts, which is less than two for every 257 entries.
        var entries = (long)context.Rows * context.Active;
        var most = context.Rows > PartEntries ? 2 * entries / (PartEntries + 1) + 1 : 0;
        parts = arena.Take<float>("long runs, partial sums", most * (ld + lo));
        partsBias = arena.Take<float>("long runs, bias sums", most);
        kernel = UpdateKernel.For(context.Spec, config, context.Ld, context.Lo, general);
        var mostBlocks = kernel.Blocks(context.Latents);
        biasParts = arena.Take<float>("b_dec partial sums", context.Spec.PreEncoderBias ? mostBlocks * ld : 0);
        biasGrad = arena.Take<float>("b_dec gradient", lo);
        clipFactor = arena.Take<float>("clip factor",
            config.Clip is ClipKind.PreviousNorm or ClipKind.GlobalNorm ? 1 : 0);
        normParts = arena.Take<double>("gradient norms", mostBlocks);
        GradientNorm = arena.Take<double>("gradient norm", 1);
        rankSums = arena.Take<double>("b_dec sums of ranks", (context.Ranks?.Ranks ?? 0) * (lo + 1));
    }

    public LatentArrays BEnc { get; }
    public LatentArrays Threshold { get; }
    public LatentArrays BMag { get; }
    public LatentArrays RMag { get; }
    public LatentArrays TieScale { get; }

    int Blocks => kernel.Blocks(context.Latents, context.Multiprocessors);

    LatentArrays[] Vectors => [BEnc, Threshold, BMag, RMag, TieScale];

    /// <summary>[1] global gradient norm of the last step, after projection and before clipping; NaN before the first
    /// step.</summary>
    public DeviceArray<double> GradientNorm { get; }

    /// <summary>[n] step of each latent's last update; empty unless lazy.</summary>
    public DeviceArray<int> LastTouched => lastTouched;

    public DeviceArray<float> AverageEnc { get; }
    public DeviceArray<float> AverageDec { get; }
    public DeviceArray<float> AverageBDec => emaBDec;

    public IEnumerable<(StateArray Array, ulong Pointer)> State
    {
        get
        {
            long n = context.Latents, ld = context.Ld, lo = context.Lo;
            foreach (var piece in (IEnumerable<(StateArray, ulong)>)[.. enc.State, .. dec.State,
                .. skip?.Moments.State ?? [], .. Vectors.SelectMany(v => v.State)])
                yield return piece;
            (string, DeviceArray<float>, long[], bool)[] floats =
            [
                ("adam_m_b_dec", mBDec, [lo], false), ("adam_v_b_dec", vBDec, [lo], false),
                ("ema_w_enc", AverageEnc, [n, ld], true), ("ema_w_dec", AverageDec, [n, lo], true),
                ("ema_b_dec", emaBDec, [lo], false),
            ];
            foreach (var (name, array, shape, byLatent) in floats)
                if (array.Length > 0)
                    yield return (new(name, "F32", shape) { ByLatent = byLatent }, array.Pointer);
            if (lastTouched.Length > 0)
                yield return (new("last_touched", "I32", [n]) { ByLatent = true }, lastTouched.Pointer);
            yield return (new("previous_norm", "U8", [sizeof(double)]), GradientNorm.Pointer);
        }
    }

    /// <summary>Runs the phase.</summary>
    /// <param name="dense">The dense path if the step took it; it computes the gradients. Otherwise null.</param>
    public void Run(DensePhase? dense)
    {
        var clip = context.Config.Clip;
        var bias = BiasParameters();
        skip?.Gradient();
        if (dense is null && context.Rows > PartEntries)
            context.Launch("update_parts",
                new(context.Blocks(backward.Entry.Length / PartEntries * ((Math.Max(context.Ld, context.Lo)
                    + 255) / 256),
                    Block / 32),
                    Block),
                UpdateParameters(measure: false));
        if (clip == ClipKind.GlobalNorm)
        {
            Visit(dense, measure: true);
            SumBias(bias);
            context.Launch("bias_norm", new(1, Block, SharedMemory.BlockSum), bias);
        }
        if (clipFactor.Length > 0) context.Launch("bias_clip", new(1, 32), bias);
        Visit(dense, measure: false);
        if (clip != ClipKind.GlobalNorm) SumBias(bias);
        context.Launch("bias_move", new(1, Block, SharedMemory.BlockSum), bias);
        skip?.Move(clipFactor);
    }

    void Visit(DensePhase? dense, bool measure)
    {
        var parameters = UpdateParameters(measure);
        if (dense is null)
        {
            context.Launch(kernel.Name, kernel.Launch(Blocks, context.Ld), parameters);
            return;
        }
        dense.Visit((first, count, encGrad, decGrad) =>
        {
            (parameters.Order, parameters.ClassStart) = (0, 0);
            (parameters.First, parameters.Count, parameters.DenseEnc, parameters.DenseDec, parameters.Accumulate) =
                (first, count, encGrad.Pointer, decGrad.Pointer, first > 0 ? 1 : 0);
            context.Launch(kernel.Name, kernel.Launch(Blocks, context.Ld), parameters);
        });
    }

    void SumBias(in BiasParams bias)
    {
        if (context.Ranks is { } ranks) ShareSums(ranks);
        context.Launch("bias_gradient", new(context.Lo / 8, Block, SharedMemory.BiasGradient), bias);
    }

    /// <summary>Gives every rank the sums over the latents of each rank.</summary>
    void ShareSums(RankExchange ranks)
    {
        var own = rankSums.Pointer + (ulong)ranks.Rank * (ulong)(context.Lo + 1) * sizeof(double);
        context.Launch("shard_bias", new(context.Lo / 8 + 1, Block, SharedMemory.ShardBias), new ShardBiasParams
        {
            BiasParts = biasParts.Pointer, NormParts = normParts.Pointer, Sums = own, Blocks = Blocks,
            Ld = context.Lo,
        });
        ranks.AllGather(rankSums);
    }

    UpdateParams UpdateParameters(bool measure)
    {
        var (buffers, spec, config) = (context.Buffers, context.Spec, context.Config);
        var parameters = new UpdateParams
        {
            Start = backward.Start.Pointer, Entry = backward.Entry.Pointer, Order = backward.Order.Pointer,
            ClassStart = backward.ClassStart.Pointer,
            Value = buffers.GatherValue.Pointer, Gate = context.Loss.LiveGate == 1 ? buffers.PreAct.Pointer : 0,
            ValueGrad = buffers.ValueGrad.Pointer, Level = buffers.Level.Pointer,
            Residual = buffers.ResidualBf16.Pointer, GateResidual = buffers.GateResidualBf16.Pointer,
            XCentered = buffers.XCentered.Pointer, Sums = buffers.LatentGrads.Pointer,
            InputSum = buffers.InputSum.Pointer,
            AuxSlot = buffers.AuxBiasGrad.Length == 0 ? 0
                : buffers.AuxSlot.Pointer, AuxEncGrad = buffers.AuxEncGrad.Pointer,
            AuxDecGrad = buffers.AuxDecGrad.Pointer, AuxBiasGrad = buffers.AuxBiasGrad.Pointer,
            Scalars = buffers.Scalars.Pointer, ClipFactor = clipFactor.Pointer,
            Parts = parts.Pointer, PartsBias = partsBias.Pointer, WEncHi = buffers.WEncHi.Pointer,
            WEncLo = buffers.WEncLo.Pointer,
            WDecHi = buffers.WDecHi.Pointer, WDecLo = buffers.WDecLo.Pointer, MEnc = enc.Parameters,
            MDec = dec.Parameters, BEnc = BEnc.Parameters,
            Threshold = Threshold.Parameters, BMag = BMag.Parameters, RMag = RMag.Parameters,
            TieScale = TieScale.Parameters, EmaEnc = AverageEnc.Pointer, EmaDec = AverageDec.Pointer,
            LastTouched = lastTouched.Pointer, BiasParts = biasParts.Pointer, NormParts = normParts.Pointer,
            Rows = context.Rows, Ld = context.Ld, Lo = context.Lo, Active = context.Active, First = 0,
            Count = context.Latents, Latents = context.Latents, Origin = context.First, AllLatents = spec.Latents,
            DecoderNorm = spec.DecoderNorm, Optimizer = config.Optimizer, Tied = spec.Tying,
            ClipRows = config.Clip == ClipKind.PerRow ? 1 : 0, Measure = measure ? 1 : 0,
            Direct = spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct } ? 1 : 0,
            Rescale = context.Loss.Rescale,
        };
        parameters.Sites = context.Sites(parameters.SiteWidth);
        return parameters;
    }

    BiasParams BiasParameters()
    {
        var buffers = context.Buffers;
        return new()
        {
            Scalars = buffers.Scalars.Pointer, ResidualParts = decode.WeightedParts.Pointer,
            BiasParts = biasParts.Pointer, NormParts = normParts.Pointer, RankSums = rankSums.Pointer,
            Ranks = context.Ranks?.Ranks ?? 1,
            SkipNorm = skip?.Norm.Pointer
                ?? 0, Gradient = biasGrad.Pointer, Norm = GradientNorm.Pointer, ClipFactor = clipFactor.Pointer,
            BDec = buffers.BDec.Pointer,
            M = mBDec.Pointer, V = vBDec.Pointer, Ema = emaBDec.Pointer,
            RowBlocks = decode.RowBlocks, Blocks = Blocks, Lo = context.Lo,
            Optimizer = context.Config.Optimizer, ClipRows = context.Config.Clip == ClipKind.PerRow ? 1 : 0,
            Measured = context.Config.Clip == ClipKind.GlobalNorm ? 1 : 0,
        };
    }
}
