using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>aux: AuxK as dense products on the window of dead latents (kernels/aux.cu); selection by the encoder's own kernels on the
/// window's rows.</summary>
sealed class AuxPhase
{
    const int Block = 256, Tile = 64, ProductShared = 2 * 16 * 68 * 4;

    readonly KernelContext context;
    readonly DecodePhase decode;
    readonly EncodePhase encode;
    readonly DeviceArray<int> index;
    readonly DeviceArray<float> value, code, codeGrad, residual, rowError, scale;
    readonly int window, active;

    public AuxPhase(KernelContext context, EncodePhase main, DecodePhase decode)
    {
        (this.context, this.decode) = (context, decode);
        var (arena, aux, buffers) = (context.Arena, context.Spec.Aux!, context.Buffers);
        window = aux.Capacity(context.Latents);
        active = Math.Min(aux.K, window);
        long rows = context.Rows;
        index = arena.Take<int>("aux code index", rows * active);
        value = arena.Take<float>("aux code value", rows * active);
        code = arena.Take<float>("aux code", rows * window);
        codeGrad = arena.Take<float>("aux code gradient", rows * window);
        residual = arena.Take<float>("aux residual", rows * context.Pitch);
        rowError = arena.Take<float>("aux error by row", rows);
        scale = arena.Take<float>("aux scale", 1);
        Sums = arena.Take<double>("aux sums", 2);
        encode = new(context, new()
        {
            Columns = window, Active = active, Relu = aux.Relu, ColumnRows = buffers.AuxRows, ColumnCount = buffers.AuxCount, Index = index, Value = value,
        }, lender: main);
    }

    /// <summary>[2] Σ‖ê + e‖² and Σ‖e − ē‖².</summary>
    public DeviceArray<double> Sums { get; }

    public void Run()
    {
        var buffers = context.Buffers;
        var parameters = Parameters();
        int B = context.Rows, ld = context.Pitch;
        encode.Run();
        context.Launch("aux_scatter", new(B, Block), parameters);
        Product(B, ld, window, new()            // r = c WDec + e
        {
            A = code.Pointer, AM = window, AK = 1, B = buffers.WDecHi.Pointer, BK = ld, BN = 1, BBf16 = 1, BGather = 1, BRows = buffers.AuxRows.Pointer,
            KCount = buffers.AuxCount.Pointer, Add = buffers.Residual.Pointer, C = residual.Pointer, CPitch = ld,
        });
        context.Launch("aux_row_error", new(B, Block, 64), parameters);
        context.Launch("aux_scale", new(1, Block, 64), parameters);
        Product(B, window, ld, new()            // ∂z = r WDecᵀ where c is not 0, the common scale left out
        {
            A = residual.Pointer, AM = ld, AK = 1, B = buffers.WDecHi.Pointer, BK = 1, BN = ld, BBf16 = 1, BGather = 2, BRows = buffers.AuxRows.Pointer,
            NCount = buffers.AuxCount.Pointer, Mask = code.Pointer, C = codeGrad.Pointer, CPitch = window,
        });
        Product(window, ld, B, new()            // ∂WDec = scale cᵀ r
        {
            A = code.Pointer, AM = 1, AK = window, B = residual.Pointer, BK = ld, BN = 1, MCount = buffers.AuxCount.Pointer,
            Scale = scale.Pointer, C = buffers.AuxDecGrad.Pointer, CPitch = ld,
        });
        Product(window, ld, B, new()            // ∂WEnc = scale ∂zᵀ (x − b_dec)
        {
            A = codeGrad.Pointer, AM = 1, AK = window, B = buffers.XCentered.Pointer, BK = ld, BN = 1, BBf16 = 1, MCount = buffers.AuxCount.Pointer,
            Scale = scale.Pointer, C = buffers.AuxEncGrad.Pointer, CPitch = ld,
        });
        context.Launch("aux_bias", new((window + Block - 1) / Block, Block), parameters);
    }

    void Product(int m, int n, int k, AuxProductParams product)
    {
        (product.M, product.N, product.K) = (m, n, k);
        context.Launch("aux_product", new((n + Tile - 1) / Tile, Block, ProductShared, (m + Tile - 1) / Tile), product);
    }

    AuxParams Parameters()
    {
        var buffers = context.Buffers;
        return new()
        {
            Index = index.Pointer, Value = value.Pointer, Code = code.Pointer, CodeGrad = codeGrad.Pointer, Residual = residual.Pointer,
            RowError = buffers.RowError.Pointer, ResidualParts = decode.ResidualParts.Pointer, Scalars = buffers.Scalars.Pointer,
            DeadCount = buffers.DeadCount.Pointer, AuxCount = buffers.AuxCount.Pointer, RowAuxError = rowError.Pointer, Scale = scale.Pointer, Sums = Sums.Pointer,
            BiasGrad = buffers.AuxBiasGrad.Pointer, Rows = context.Rows, Pitch = context.Pitch, RowBlocks = decode.RowBlocks, Active = active, Window = window,
        };
    }
}
