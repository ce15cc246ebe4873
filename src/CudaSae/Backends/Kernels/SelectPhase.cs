using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>Runs encode and select: it computes the code of any selection, then the levels of nested
/// reconstructions.</summary>
sealed class SelectPhase
{
    readonly KernelContext context;
    readonly EncodePhase encode;
    readonly GroupPhase? groups;
    readonly RankSelection? ranks;          // null for one process, and for groups, which a rank holds whole
    readonly DeviceArray<int> place;        // [B, C] of BatchTopK on several ranks

    public SelectPhase(KernelContext context, EncodePhase encode)
    {
        (this.context, this.encode) = (context, encode);
        groups = context.Spec.Selection is Selection.GroupMax ? new(context, encode) : null;
        if (context.Ranks is not null && groups is null)
            ranks = new(context, context.Ranks, context.Chunks[0].Count, context.Active, "selection");
        if (context.Spec.Selection is not Selection.BatchTopK) return;
        place = context.Arena.Take<int>("places in the batch", ranks is null ? 0 : context.Buffers.Index.Length);
        Batch = new(context, encode, place);
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
        if (ranks is not null) SelectOverRanks(ranks, context.AllRows);
        Batch?.Run();
        SetLevels(context.AllRows);
    }

    /// <summary>Does the same for a chunk of rows that is encoded, on several ranks. BatchTopK does not select by
    /// row.</summary>
    public void RunOnRanks(RowRange rows)
    {
        SelectOverRanks(ranks!, rows);
        SetLevels(rows);
    }

    void SetLevels(RowRange rows)
    {
        if (ranks is null || context.Spec.Nested is not Nesting.Budgets) context.SetLevels(rows);
    }

    /// <summary>Keeps the entries that are among the k largest of all ranks. Levels by the rank of an entry in its row
    /// come from the row's owner.</summary>
    void SelectOverRanks(RankSelection ranks, RowRange rows)
    {
        var (buffers, spec) = (context.Buffers, context.Spec);
        var budgets = spec.Nested as Nesting.Budgets;
        ranks.Run(rows, buffers.Index, buffers.Value, new()
        {
            Magnitude = encode.Target.Magnitude,
            Scalars = encode.Target.Scalars,
            Overflows = spec.Selection is Selection.BatchTopK && context.Active < spec.Latents ? encode.Overflows
                : default,
            Budgets = budgets,
        });
        ranks.Apply(rows, value: buffers.Value, level: budgets is null ? default : buffers.Level, place: place);
    }
}
