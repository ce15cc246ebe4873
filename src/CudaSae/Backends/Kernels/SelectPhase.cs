using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>encode and select: the code by whatever the selection is, then the levels of nested reconstructions (kernels/levels.cu).</summary>
sealed unsafe class SelectPhase
{
    const int Block = 128, LevelsSharedBytes = SaeSpec.MaxActive * sizeof(float);

    readonly KernelContext context;
    readonly EncodePhase encode;
    readonly GroupPhase? groups;

    public SelectPhase(KernelContext context, EncodePhase encode)
    {
        (this.context, this.encode) = (context, encode);
        groups = context.Spec.Selection is Selection.GroupMax ? new(context, encode) : null;
        Batch = context.Spec.Selection is Selection.BatchTopK ? new(context, encode) : null;
    }

    /// <summary>Null unless the selection is BatchTopK.</summary>
    public BatchPhase? Batch { get; }

    /// <summary>Writes Index, Value and, with nested losses, Level.</summary>
    public void Run()
    {
        if (groups is null) encode.Run();
        else groups.Run();
        Batch?.Run();
        if (context.Spec.Levels > 1) SetLevels();
    }

    void SetLevels()
    {
        var buffers = context.Buffers;
        var parameters = new LevelsParams
        {
            Index = buffers.Index.Pointer, Value = buffers.Value.Pointer, Scalars = buffers.Scalars.Pointer, Level = buffers.Level.Pointer,
            Active = context.Active, Levels = context.Spec.Levels,
        };
        if (context.Spec.Nested is Nesting.Budgets budgets)
        {
            parameters.ByRank = 1;
            for (var m = 0; m < budgets.Ks.Length; m++) parameters.Budgets[m] = budgets.Ks[m];
        }
        context.Launch("levels", new(context.Rows, Block, LevelsSharedBytes), parameters);
    }
}
