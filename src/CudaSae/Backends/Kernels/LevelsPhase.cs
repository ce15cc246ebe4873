using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>Finds the first nested reconstruction that contains each entry of the code (kernels/levels.cu).</summary>
static class LevelsPhase
{
    const int Block = 128;

    /// <summary>Writes Level if losses are nested.</summary>
    public static unsafe void SetLevels(this KernelContext context, RowRange rows)
    {
        if (context.Spec.Levels == 1) return;
        var buffers = context.Buffers;
        var parameters = new LevelsParams
        {
            Index = rows.Of(buffers.Index, context.Active).Pointer,
            Value = rows.Of(buffers.Value, context.Active).Pointer, Scalars = buffers.Scalars.Pointer,
            Level = rows.Of(buffers.Level, context.Active).Pointer,
            Active = context.Active, Levels = context.Spec.Levels, First = context.First,
        };
        if (context.Spec.Nested is Nesting.Budgets budgets)
        {
            parameters.ByRank = 1;
            for (var m = 0; m < budgets.Ks.Length; m++) parameters.Budgets[m] = budgets.Ks[m];
        }
        context.Launch("levels", new(rows.Count, Block, SharedMemory.Levels), parameters);
    }
}
