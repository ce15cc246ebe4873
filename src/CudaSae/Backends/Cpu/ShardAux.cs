using CudaSae.Distributed;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The losses of dead latents on several ranks: AuxK's selection over the whole window, and the
/// reconstruction, which passes through the ranks in the order of the window's slots.</summary>
sealed unsafe class ShardAux : CpuPart
{
    readonly ShardPlan plan;
    readonly DeadWindow window;
    readonly RowOwners? owners;             // null for ghosts
    readonly ulong* keys;                   // [workers, 2, window + a vector] candidates of a row
    readonly int keysLength;
    readonly OrderedSum? ordered;           // null for a chain
    readonly float* scratch;
    readonly Action<int, int> offerPart, judgePart, applyPart;

    // The selection in work.
    float* codes;                           // [panels][capacity, 48]
    int capacity;

    public ShardAux(CpuContext context, ShardPlan plan, DeadWindow window) : base(context)
    {
        (this.plan, this.window) = (plan, window);
        (offerPart, judgePart, applyPart) = (Offer, Judge, Apply);
        if (plan.Order == SumOrder.Ordered)
        {
            ordered = new(plan);
            scratch = context.Arena.Take<float>("partial sums of the window",
                OrderedSum.ScratchLength(plan, (long)lanes * lo));
        }
        if (spec.Aux is null) return;
        owners = new(context, plan, "aux", Math.Min(spec.DeadWindow, MostOnARank()));
        keysLength = (spec.DeadWindow + 31) & ~15;
        keys = context.Arena.Take<ulong>("candidates of a row in the window", 2L * workers.Count * keysLength);
    }

    int MostOnARank() => Enumerable.Range(0, plan.Ranks).Max(rank => plan.FirstOf(rank + 1) - plan.FirstOf(rank));

    /// <summary>Whether the selection needs all ranks: the window has more than k_aux latents.</summary>
    public bool Selects => spec.Aux is { } aux && window.Total > aux.K;

    /// <summary>Keeps the k_aux largest pre-activations of each row, among equal ones those of the lower slots;
    /// everything else, and every lane past the batch, becomes 0.</summary>
    /// <param name="codes">[panels][capacity, 48] pre-activations of this rank's part of the window.</param>
    /// <param name="capacity">Slots between two panels.</param>
    public void Select(float* codes, int capacity)
    {
        this.codes = codes;
        this.capacity = capacity;
        owners!.Begin(Widest());
        workers.Run(panels, offerPart);
        owners.Send();
        workers.Run(owners.OwnedRows, judgePart);
        owners.Answer();
        workers.Run(panels, applyPart);
    }

    float* Codes(int panel) => codes + (long)panel * capacity * Gemm.TileColumns;

    /// <summary>Copies the pre-activations of a panel's rows to their owners' blocks.</summary>
    void Offer(int panel, int worker)
    {
        int start = panel * Gemm.TileColumns, rows = Math.Min(Gemm.TileColumns, B - start);
        var from = Codes(panel);
        for (var s = 0; s < window.Length; s++, from += Gemm.TileColumns)
            for (var lane = 0; lane < rows; lane++) owners!.Candidates(start + lane)[s] = from[lane];
    }

    /// <summary>Clears what the owners of a panel's rows did not keep, and the lanes past the batch.</summary>
    void Apply(int panel, int worker)
    {
        var start = panel * Gemm.TileColumns;
        var to = Codes(panel);
        for (var s = 0; s < window.Length; s++, to += Gemm.TileColumns)
            for (var lane = 0; lane < Gemm.TileColumns; lane++)
                if (start + lane >= B || owners!.Answered(start + lane)[s] == 0) to[lane] = 0;
    }

    /// <summary>Slots of the rank with the largest part of the window.</summary>
    int Widest()
    {
        var widest = 0;
        foreach (var stretch in window.Stretches) widest = Math.Max(widest, stretch.First + stretch.Count);
        return widest;
    }

    void Judge(int row, int worker)
    {
        ulong* all = keys + 2L * worker * keysLength, scratch = all + keysLength;
        var aux = spec.Aux!;
        int count = 0, slot = 0;
        foreach (var stretch in window.Stretches)
        {
            var from = owners!.Received(stretch.Rank, row) + stretch.First;
            for (var s = 0; s < stretch.Count; s++, slot++)
                if (aux.Relu ? from[s] > 0 : !float.IsNaN(from[s])) all[count++] = CandidateKey.Of(from[s], slot);
        }
        Largest.Keep(all, count, aux.K, scratch);
        for (var i = 0; i < Math.Min(count, aux.K); i++) Keep(CandidateKey.LatentOf(all[i]), row);
    }

    void Keep(int slot, int row)
    {
        foreach (var stretch in window.Stretches)
        {
            if (slot < stretch.Count)
            {
                owners!.Answers(stretch.Rank, row)[stretch.First + slot] = 1;
                return;
            }
            slot -= stretch.Count;
        }
    }

    /// <summary>Computes a sum over the window on all ranks.</summary>
    /// <param name="sums">[panels][lo, 48] of zeros; receives the sum.</param>
    /// <param name="add">Adds this rank's slots [first, first + count).</param>
    public void Sum(float* sums, Action<int, int> add)
    {
        if (ordered is null) Chain(sums, add);
        else
        {
            add(0, window.Length);
            ordered.Run(sums, (long)lanes * lo, scratch);
        }
    }

    void Chain(float* sums, Action<int, int> add)
    {
        var bytes = (long)lanes * lo * sizeof(float);
        for (var i = 0; i < window.Stretches.Count; i++)
        {
            var (rank, first, count) = window.Stretches[i];
            if (rank != plan.Rank) continue;
            if (i > 0 && window.Stretches[i - 1].Rank is var before && before != rank)
                plan.Collective.Receive(sums, bytes, before);
            add(first, count);
            if (i < window.Stretches.Count - 1 && window.Stretches[i + 1].Rank is var next && next != rank)
                plan.Collective.Send(sums, bytes, next);
        }
        plan.Collective.Broadcast(sums, bytes, window.Stretches[^1].Rank);
    }
}
