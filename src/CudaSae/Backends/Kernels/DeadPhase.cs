using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>The phase aux: it computes AuxK or ghost gradients as dense products on the window of dead latents
/// (kernels/aux_loss.cu, product.cu). AuxK's selection uses the encoder's kernels on the window's rows.</summary>
sealed class DeadPhase
{
    const int Block = 256, MostSumBlocks = 64;

    readonly KernelContext context;
    readonly DecodePhase decode;
    readonly LatentsPhase latents;
    readonly EncodePhase? encode;
    readonly ColumnSpread? spread;          // spread of e, for AuxK
    readonly RankSelection? selection;      // of AuxK on several ranks
    readonly DeviceArray<int> index;
    readonly DeviceArray<float> value, code, codeGrad, residual, rowError, scale;
    readonly DeviceArray<double> parts;
    readonly DeviceArray<int> ticket;
    readonly int window, active;

    /// <summary>Takes the phase's memory.</summary>
    /// <param name="main">The step's encoder, whose scratch memory may be shared.</param>
    public DeadPhase(KernelContext context, EncodePhase? main, DecodePhase decode, LatentsPhase latents)
    {
        (this.context, this.decode, this.latents) = (context, decode, latents);
        var (arena, aux, buffers) = (context.Arena, context.Spec.Aux, context.Buffers);
        window = context.Spec.DeadWindow;
        active = Math.Min(aux?.K ?? 0, window);
        long rows = context.Rows;
        index = arena.Take<int>("dead code index", rows * active);
        value = arena.Take<float>("dead code value", rows * active);
        code = arena.Take<float>("dead code", rows * window);
        codeGrad = arena.Take<float>("dead code gradient", rows * window);
        residual = arena.Take<float>("dead residual", context.Padded(rows * context.Lo));
        rowError = arena.Take<float>("dead error by row", rows);
        scale = arena.Take<float>("dead scale", 1);
        Sums = arena.Take<double>("dead sums", 2);
        parts = arena.Take<double>("dead sums by block", 3 * MostSumBlocks);
        ticket = arena.Take<int>("dead sums, blocks done", 1);
        if (aux is null) return;
        spread = new(context, "e");
        encode = new(context, new()
        {
            Columns = window, Active = active, Relu = aux.Relu, ColumnRows = buffers.AuxRows,
            ColumnCount = buffers.AuxCount, Index = index, Value = value,
        }, lender: main);
        if (context.Ranks is not null) selection = new(context, context.Ranks, context.Rows, active, "aux");
    }

    /// <summary>[2] Σ‖ê + e‖² and Σ‖e − ē‖² of AuxK, or the ghost loss.</summary>
    public DeviceArray<double> Sums { get; }

    bool Ghost => encode is null;

    public void Run()
    {
        var parameters = Parameters();
        int B = context.Rows;
        if (encode is not null)
        {
            encode.Run();
            selection?.Run(context.AllRows, index, value, new() { Zeros = !context.Spec.Aux!.Relu });
            selection?.Apply(context.AllRows, index);
            context.Launch("aux_scatter", new(B, Block), parameters);
        }
        else MakeGhosts(parameters);
        if (context.Ranks is { } ranks)
        {
            Reconstruct(add: false);
            ranks.Add(residual, Ghost ? default : context.Buffers.Residual);
        }
        else Reconstruct(add: !Ghost);
        if (Ghost)
        {
            context.Launch("ghost_scale", new(B, Block, SharedMemory.BlockSum), parameters);
            context.Launch("ghost_sums", new(1, Block, SharedMemory.BlockSum), parameters);
        }
        else
        {
            spread!.Run(context.Buffers.Residual);
            context.Launch("aux_row_error", new(B, Block, SharedMemory.BlockSum), parameters);
            var blocks = Math.Min(MostSumBlocks, context.Blocks(Math.Max(B, context.Lo), Block));
            context.Launch("aux_scale", new(blocks, Block, SharedMemory.BlockSum), parameters);
        }
        Gradients();
        context.Launch("aux_bias", new((window + 15) / 16, 512, SharedMemory.AuxBias), parameters);
    }

    /// <summary>Makes the ghosts' code, e^z. Dead latents are determined at the start of the step, because all latents
    /// may count as dead in the first steps.</summary>
    void MakeGhosts(in AuxParams parameters)
    {
        var (buffers, ld) = (context.Buffers, context.Ld);
        latents.FindDead(early: true);
        context.Product(context.Rows, window, ld, new()
        {
            A = buffers.XCentered.Pointer, AM = ld, AK = 1, ABf16 = 1,
            B = buffers.WEncHi.Pointer, BK = 1, BN = ld, BBf16 = 1,
            BGather = GatherCode.N, BRows = buffers.AuxRows.Pointer,
            NCount = buffers.AuxCount.Pointer, C = code.Pointer, CStride = window,
        });
        context.Launch("ghost_code", new(context.Rows, Block), parameters);
    }

    /// <summary>Computes r = c WDec (+ e).</summary>
    void Reconstruct(bool add)
    {
        var (buffers, lo) = (context.Buffers, context.Lo);
        context.Product(context.Rows, lo, window, new()
        {
            A = code.Pointer, AM = window, AK = 1,
            B = buffers.WDecHi.Pointer, BK = lo, BN = 1, BBf16 = 1,
            BGather = GatherCode.K, BRows = buffers.AuxRows.Pointer, KCount = buffers.AuxCount.Pointer,
            Add = add ? buffers.Residual.Pointer : 0, C = residual.Pointer, CStride = lo,
        });
    }

    void Gradients()
    {
        var (buffers, B, ld, lo) = (context.Buffers, context.Rows, context.Ld, context.Lo);
        // ∂z = r WDecᵀ where c is not 0, times c for ghosts, without the common scale
        context.Product(B, window, lo, new()
        {
            A = residual.Pointer, AM = lo, AK = 1,
            B = buffers.WDecHi.Pointer, BK = 1, BN = lo, BBf16 = 1,
            BGather = GatherCode.N, BRows = buffers.AuxRows.Pointer, NCount = buffers.AuxCount.Pointer,
            Mask = code.Pointer, MaskFactor = Ghost ? 1 : 0, C = codeGrad.Pointer, CStride = window,
        });
        context.Product(window, lo, B, new()            // ∂WDec = scale cᵀ r
        {
            A = code.Pointer, AM = 1, AK = window, B = residual.Pointer, BK = lo, BN = 1,
            MCount = buffers.AuxCount.Pointer,
            Scale = scale.Pointer, C = buffers.AuxDecGrad.Pointer, CStride = lo,
        });
        context.Product(window, ld, B, new()            // ∂WEnc = scale ∂zᵀ (x − b_dec)
        {
            A = codeGrad.Pointer, AM = 1, AK = window, B = buffers.XCentered.Pointer, BK = ld, BN = 1, BBf16 = 1,
            MCount = buffers.AuxCount.Pointer,
            Scale = scale.Pointer, C = buffers.AuxEncGrad.Pointer, CStride = ld,
        });
    }

    AuxParams Parameters()
    {
        var buffers = context.Buffers;
        return new()
        {
            Index = index.Pointer, Value = value.Pointer, Code = code.Pointer, CodeGrad = codeGrad.Pointer,
            Residual = residual.Pointer, Error = buffers.Residual.Pointer,
            RowError = buffers.RowError.Pointer, ResidualParts = decode.ResidualParts.Pointer,
            Means = spread?.Means.Pointer ?? 0, Spreads = spread?.Spreads.Pointer ?? 0, BEnc = buffers.BEnc.Pointer,
            AuxRows = buffers.AuxRows.Pointer, Scalars = buffers.Scalars.Pointer,
            DeadCount = buffers.DeadCount.Pointer, AuxCount = buffers.AuxCount.Pointer,
            AuxTotal = latents.AuxTotal.Pointer, RowAuxError = rowError.Pointer,
            Scale = scale.Pointer, Sums = Sums.Pointer, Parts = parts.Pointer, Ticket = ticket.Pointer,
            BiasGrad = buffers.AuxBiasGrad.Pointer, Rows = context.Rows, Lo = context.Lo,
            RowBlocks = decode.RowBlocks, Active = active, Window = window, K = context.Spec.Aux?.K
                ?? 1,
        };
    }
}
