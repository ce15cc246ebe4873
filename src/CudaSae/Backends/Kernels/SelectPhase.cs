using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>encode and select: the code by whatever the selection is, then the levels of nested
/// reconstructions.</summary>
sealed class SelectPhase
{
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

    /// <summary>Screens columns before they are encoded; null to encode them all.</summary>
    public ScreenPhase? Screen { get; set; }

    /// <summary>Writes Index, Value and, with nested losses, Level.</summary>
    public void Run()
    {
        if (groups is not null) groups.Run();
        else if (Screen is not null) Screen.Run();
        else encode.Run();
        Batch?.Run();
        context.SetLevels();
    }
}
