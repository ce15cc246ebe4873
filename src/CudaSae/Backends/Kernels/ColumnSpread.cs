using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>Computes sums of squares about the columns' means over blocks of 64 rows (kernels/spread.cuh).</summary>
sealed class ColumnSpread(KernelContext context, string of)
{
    const int Rows = 64;

    readonly int blocks = (context.Rows + Rows - 1) / Rows;

    /// <summary>[blocks, lo] means of the columns.</summary>
    public DeviceArray<double> Means { get; } = Take(context, $"column means of {of}");

    /// <summary>[blocks, lo] sums of squared deviations from the means.</summary>
    public DeviceArray<double> Spreads { get; } = Take(context, $"column spreads of {of}");

    static DeviceArray<double> Take(KernelContext context, string name) =>
        context.Arena.Take<double>(name, (context.Rows + Rows - 1) / Rows * (long)context.Lo);

    /// <summary>Runs the kernel.</summary>
    /// <param name="values">The matrix, [B, lo].</param>
    public void Run(DeviceArray<float> values) =>
        context.Launch("column_spread", new(context.Blocks((long)blocks * ((context.Lo + 127) / 128), 4), 128),
            new ColumnSpreadParams
            {
                Values = values.Pointer, Means = Means.Pointer, Spreads = Spreads.Pointer,
                Rows = context.Rows, Lo = context.Lo,
            });
}
