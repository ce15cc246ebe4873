using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>A transcoder's skip connection: it computes WSkip x before decoding, and afterwards the gradient and the
/// step (kernels/skip.cu, product.cu).</summary>
sealed class SkipPhase
{
    const int Block = 256;

    readonly KernelContext context;
    readonly DeviceArray<float> gradient;
    readonly DeviceArray<double> normParts;
    readonly int rows;

    public SkipPhase(KernelContext context)
    {
        this.context = context;
        if (context.Config.Moments == MomentStorage.Int8)
            throw new SaeException("eight-bit moments of a skip connection are built for the CPU backend only; use "
                + "Moments = BFloat16");
        rows = context.Spec.OutputWidth;
        Baseline = context.Arena.Take<float>("skip connection", (long)context.Rows * context.Lo);
        gradient = context.Arena.Take<float>("gradient of w_skip", (long)rows * context.Ld);
        normParts = context.Arena.Take<double>("gradient norms of w_skip", rows);
        Norm = context.Arena.Take<double>("gradient norm of w_skip", 1);
        Moments = new(context, "skip", rows, context.Ld, byLatent: false);
    }

    public DeviceArray<float> Baseline { get; }     // [B, lo]
    public DeviceArray<double> Norm { get; }        // [1] squared
    public MomentArrays Moments { get; }

    public void Forward() => context.Product(context.Rows, rows, context.Ld, new()
    {
        A = context.Buffers.X.Pointer, AM = context.Ld, AK = 1, B = context.Buffers.WSkip.Pointer, BK = 1,
        BN = context.Ld, C = Baseline.Pointer, CStride = context.Lo,
    });

    /// <summary>Computes ∂WSkip = 2c Σ_b E xᵀ and its squared norm.</summary>
    public void Gradient()
    {
        var buffers = context.Buffers;
        Add(buffers.Weighted.Length > 0 ? buffers.Weighted : buffers.Residual, add: false);
        if (context.Loss.LiveGate == 1) Add(buffers.GateResidual, add: true);
        context.Launch("skip_norm", new(rows, Block, SharedMemory.BlockSum), Parameters(default));
        context.Launch("skip_sum", new(1, Block, SharedMemory.BlockSum), Parameters(default));
    }

    void Add(DeviceArray<float> error, bool add) => context.Product(rows, context.Ld, context.Rows, new()
    {
        A = error.Pointer, AM = 1, AK = context.Lo, B = context.Buffers.X.Pointer, BK = context.Ld, BN = 1,
        Add = add
            ? gradient.Pointer : 0, C = gradient.Pointer, CStride = context.Ld,
    });

    public void Move(DeviceArray<float> clipFactor) =>
        context.Launch("skip_move", new(rows, Block), Parameters(clipFactor));

    SkipParams Parameters(DeviceArray<float> clipFactor) => new()
    {
        Scalars = context.Buffers.Scalars.Pointer, ClipFactor = clipFactor.Pointer, Gradient = gradient.Pointer,
        WSkip = context.Buffers.WSkip.Pointer, Moments = Moments.Parameters,
        NormParts = normParts.Pointer, Norm = Norm.Pointer, Rows = rows, Ld = context.Ld,
        Optimizer = context.Config.Optimizer, ClipRows = context.Config.Clip == ClipKind.PerRow ? 1 : 0,
    };
}
