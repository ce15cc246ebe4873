using CudaSae.Devices;
using CudaSae.Training;

namespace CudaSae.Backends.Kernels;

/// <summary>decode: residual, loss and ∂L/∂value (kernels/decode.cu), and the sums of a step (kernels/sums.cu).</summary>
sealed class DecodePhase
{
    const int Block = 256, RowsPerSum = 64, SharedLimit = 160 << 10;

    readonly KernelContext context;
    readonly DeviceArray<float> rowNorm, xParts;
    readonly DeviceArray<int> rowActive;
    readonly int slice;

    public DecodePhase(KernelContext context)
    {
        this.context = context;
        RowBlocks = (context.Rows + RowsPerSum - 1) / RowsPerSum;
        rowNorm = context.Arena.Take<float>("|x|^2 by row", context.Rows);
        rowActive = context.Arena.Take<int>("active by row", context.Rows);
        xParts = context.Arena.Take<float>("column sums of x", (long)RowBlocks * context.Pitch);
        ResidualParts = context.Arena.Take<float>("column sums of e", (long)RowBlocks * context.Pitch);
        slice = context.Pitch % 256 == 0 && SharedBytes(256) <= SharedLimit / 2 ? 256 : 64;
        if (SharedBytes(slice) > SharedLimit) throw new SaeException($"K = {context.Active} needs {SharedBytes(slice)} bytes of shared memory in decode; at most 512 are possible");
    }

    /// <summary>Blocks of 64 rows.</summary>
    public int RowBlocks { get; }

    /// <summary>[RowBlocks, ld] column sums of the residual.</summary>
    public DeviceArray<float> ResidualParts { get; }

    int SharedBytes(int width) => 64 + width * 4 + context.Active * 12 + 16 + context.Active * width * 2;

    public void Run()
    {
        var buffers = context.Buffers;
        context.Launch("decode", new(context.Rows, Block, SharedBytes(slice)), new DecodeParams
        {
            WDec = buffers.WDecHi.Pointer, BDec = buffers.BDec.Pointer, X = buffers.X.Pointer, Index = buffers.Index.Pointer, Value = buffers.Value.Pointer,
            Scalars = buffers.Scalars.Pointer, Residual = buffers.Residual.Pointer, ResidualBf16 = buffers.ResidualBf16.Pointer, ValueGrad = buffers.ValueGrad.Pointer,
            RowError = buffers.RowError.Pointer, RowNorm = rowNorm.Pointer, RowActive = rowActive.Pointer,
            Rows = context.Rows, Pitch = context.Pitch, Active = context.Active, Slice = slice,
        });
        context.Launch("column_sums", new(RowBlocks, Block), new ColumnSumsParams
        {
            Residual = buffers.Residual.Pointer, X = buffers.X.Pointer, ResidualParts = ResidualParts.Pointer, XParts = xParts.Pointer,
            Rows = context.Rows, Pitch = context.Pitch,
        });
    }

    public void FinishSums(DeviceArray<int> overflows, DeviceArray<double> auxSums, DeviceArray<double> gradientNorm)
    {
        var buffers = context.Buffers;
        context.Launch("step_sums", new(1, Block, 64), new StepSumsParams
        {
            Scalars = buffers.Scalars.Pointer, RowError = buffers.RowError.Pointer, RowNorm = rowNorm.Pointer, RowActive = rowActive.Pointer, XParts = xParts.Pointer,
            Overflows = overflows.Pointer, DeadCount = buffers.DeadCount.Pointer, AuxSums = auxSums.Pointer, GradientNorm = gradientNorm.Pointer, Sums = buffers.Sums.Pointer,
            Rows = context.Rows, Pitch = context.Pitch, Blocks = RowBlocks,
        });
    }
}
