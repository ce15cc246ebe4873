using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>Runs encode and select: it computes the code of any selection, then the levels of nested
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

    /// <summary>The phase of BatchTopK; null for other selections.</summary>
    public BatchPhase? Batch { get; }

    /// <summary>The phase that screens columns before they are encoded; null if all columns are encoded.</summary>
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
