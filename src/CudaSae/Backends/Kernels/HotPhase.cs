using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>Treats latents that fire often as dense columns (kernels/hot.cu, product.cu). Their contribution to x̂ is
/// computed before decode gathers the rest, and their gradients reach update through slots after the dead window. They
/// are chosen every <see cref="Every"/> steps from counts that are part of the state.</summary>
sealed class HotPhase
{
    /// <summary>Steps between two lists: HOT_EVERY of kernels/hot.cu.</summary>
    public const int Every = 100;

    const int Block = 256;

    readonly KernelContext context;
    readonly DecodePhase decode;
    readonly DeviceArray<int> firings, hot, count, rowHot;
    readonly DeviceArray<float> code, codeGrad, xhat, scale;
    readonly int most, window;

    public HotPhase(KernelContext context, DecodePhase decode)
    {
        (this.context, this.decode) = (context, decode);
        var (arena, spec, rows) = (context.Arena, context.Spec, (long)context.Rows);
        if (spec.IsThresholded || spec.Nested is not null || spec.Penalty is not null || spec.PreAct is not null
            || spec.Ghost is not null)
            throw new SaeException("HotDensity is built for TopK, BatchTopK, AbsTopK and GroupMax without nested "
                + "losses, penalties and ghosts; set it to 0");
        (most, window) = (StepBuffers.HotWindowOf(spec, context.Config), spec.DeadWindow);
        firings = arena.Take<int>("firings since the list of hot latents", context.Latents);
        hot = arena.Take<int>("hot latents", most);
        count = arena.Take<int>("hot count", 1);
        rowHot = arena.Take<int>("hot entries by row", rows);
        code = arena.Take<float>("hot code", rows * most);
        codeGrad = arena.Take<float>("hot code gradient", rows * most);
        xhat = arena.Take<float>("reconstruction by hot latents", rows * context.Lo);
        scale = arena.Take<float>("hot scale", 1);
    }

    public IEnumerable<(StateArray Array, ulong Pointer)> State =>
        [(new("hot_firings", "I32", [context.Latents]), firings.Pointer),
            (new("hot_latents", "I32", [most]), hot.Pointer), (new("hot_count", "I32", [1]), count.Pointer)];

    /// <summary>Removes the hot latents from the code. Returns the initial x̂: <paramref name="baseline"/>, [B, lo] or
    /// empty, plus their contribution.</summary>
    public DeviceArray<float> Forward(DeviceArray<float> baseline)
    {
        var (buffers, lo) = (context.Buffers, context.Lo);
        context.Launch("hot_mark", new(context.Blocks(most, Block), Block), Parameters());
        context.Launch("hot_split", new((context.Rows + 7) / 8, Block), Parameters());
        context.Product(context.Rows, lo, most, new()
        {
            A = code.Pointer, AM = most, AK = 1,
            B = buffers.WDecHi.Pointer, BK = lo, BN = 1, BBf16 = 1, BGather = GatherCode.K, BRows = hot.Pointer,
            KCount = count.Pointer, Add = baseline.Pointer, C = xhat.Pointer, CStride = lo,
        });
        return xhat;
    }

    /// <summary>Adds the hot entries to the row counts, since decode counts only the others.</summary>
    public void CountActive() =>
        context.Launch("hot_active", new(context.Blocks(context.Rows, Block), Block), Parameters());

    public void Gradients()
    {
        var (buffers, B, ld, lo) = (context.Buffers, context.Rows, context.Ld, context.Lo);
        context.Product(B, most, lo, new()              // ∂value = e WDecᵀ where value ≠ 0, without the common scale
        {
            A = buffers.Residual.Pointer, AM = lo, AK = 1,
            B = buffers.WDecHi.Pointer, BK = 1, BN = lo, BBf16 = 1, BGather = GatherCode.N, BRows = hot.Pointer,
            NCount = count.Pointer, Mask = code.Pointer, C = codeGrad.Pointer, CStride = most,
        });
        context.Product(most, lo, B, new() // ∂WDec = scale valueᵀ e, with e in bfloat16 as for other latents
        {
            A = code.Pointer, AM = 1, AK = most, B = buffers.ResidualBf16.Pointer, BK = lo, BN = 1, BBf16 = 1,
            MCount = count.Pointer, Scale = scale.Pointer,
            C = buffers.AuxDecGrad.Pointer + (ulong)window * (ulong)lo * sizeof(float), CStride = lo,
        });
        context.Product(most, ld, B, new()              // ∂WEnc = scale ∂valueᵀ (x − b_dec)
        {
            A = codeGrad.Pointer, AM = 1, AK = most, B = buffers.XCentered.Pointer, BK = ld, BN = 1, BBf16 = 1,
            MCount = count.Pointer, Scale = scale.Pointer,
            C = buffers.AuxEncGrad.Pointer + (ulong)window * (ulong)ld * sizeof(float), CStride = ld,
        });
        context.Launch("aux_bias", new((most + 15) / 16, 512, SharedMemory.AuxBias), new AuxParams
        {
            CodeGrad = codeGrad.Pointer, AuxCount = count.Pointer, Scale = scale.Pointer,
            BiasGrad = buffers.AuxBiasGrad.Pointer
                + (ulong)window * sizeof(float), Rows = B, Window = most,
        });
    }

    /// <summary>Counts the firings of this step, and makes the next list when it is due.</summary>
    public void Choose()
    {
        var buffers = context.Buffers;
        context.Launch("latents_count", new(context.Blocks((long)context.Rows * context.Active, Block), Block),
            new LatentsParams
            {
                Index = buffers.Index.Pointer, Value = buffers.Value.Pointer, Firings = firings.Pointer,
                Rows = context.Rows, Active = context.Active,
            });
        context.Launch("hot_list", new(1, 1024, SharedMemory.HotList), Parameters());
    }

    HotParams Parameters()
    {
        var buffers = context.Buffers;
        return new()
        {
            Index = buffers.Index.Pointer, Value = buffers.Value.Pointer, Scalars = buffers.Scalars.Pointer,
            Firings = firings.Pointer, Hot = hot.Pointer, HotCount = count.Pointer,
            Slot = buffers.AuxSlot.Pointer, Code = code.Pointer, ColdIndex = buffers.GatherIndex.Pointer,
            ColdValue = buffers.GatherValue.Pointer, ColdCount = buffers.GatherCount.Pointer,
            RowHot = rowHot.Pointer, RowActive = decode.RowActive.Pointer, Scale = scale.Pointer,
            Rows = context.Rows, Active = context.Active, Latents = context.Latents, Window = window, Capacity = most,
            Density = context.Config.HotDensity,
        };
    }
}
