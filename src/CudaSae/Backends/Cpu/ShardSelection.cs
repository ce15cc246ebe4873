using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>The k largest of each row over all ranks. Every rank has selected the k largest among its own latents; the
/// row's owner keeps the k largest of all, exactly as one process does: among equal ones those of the lower
/// latents.</summary>
sealed unsafe class ShardSelection : CpuPart
{
    readonly ShardPlan plan;
    readonly RowOwners owners;
    readonly int* rowCount;
    readonly float* value, batch;           // [B, k]; [ranks · rows of an owner, k] values of all ranks' entries
    readonly byte* level;
    readonly ulong* keys;                   // [workers, 2, ranks · k + a vector] candidates of a row
    readonly int keysLength;
    readonly bool byMagnitude;
    readonly Action<int, int> offerPart, judgePart, applyPart;
    int kept;

    public ShardSelection(CpuContext context, ShardPlan plan) : base(context)
    {
        this.plan = plan;
        owners = new(context, plan, "selection", k);
        rowCount = context.Buffers.RowCount;
        value = context.Buffers.Value;
        level = spec.Nested is Nesting.Budgets ? context.Buffers.Level : null;
        keysLength = (plan.Ranks * k + 31) & ~15;
        keys = context.Arena.Take<ulong>("candidates of a row on all ranks", 2L * workers.Count * keysLength);
        if (spec.Selection is Selection.BatchTopK)
            batch = context.Arena.Take<float>("values of the whole batch", (long)plan.Ranks * owners.RowsEach * k);
        byMagnitude = spec.Selection is Selection.AbsTopK;
        (offerPart, judgePart, applyPart) = (Offer, Judge, Apply);
    }

    /// <summary>[B, k] For BatchTopK: the values of each row's entries on all ranks, in ascending order of the
    /// latent.</summary>
    public float* BatchValues => batch;

    /// <summary>Sets the values outside the selection to 0.</summary>
    /// <param name="kept">Entries that a row keeps in this step.</param>
    public void Run(int kept)
    {
        this.kept = kept;
        owners.Begin(k);
        workers.Run(rowBlocks, offerPart);
        owners.Send();
        workers.Run(owners.OwnedRows, judgePart);
        owners.Answer();
        workers.Run(rowBlocks, applyPart);
        if (batch is not null)
            plan.Collective.AllGather(batch, plan.EqualStarts((long)owners.RowsEach * k * sizeof(float)));
    }

    void Offer(int block, int worker)
    {
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
            new ReadOnlySpan<float>(value + (long)b * k, rowCount[b]).CopyTo(new(owners.Candidates(b), k));
    }

    /// <summary>Selects among the candidates of an owned row. An answer is 1 + the level of a kept entry.</summary>
    void Judge(int row, int worker)
    {
        ulong* all = keys + 2L * worker * keysLength, scratch = all + keysLength;
        var count = 0;
        for (var rank = 0; rank < plan.Ranks; rank++)
        {
            var from = owners.Received(rank, row);
            for (var j = 0; j < k; j++)
                if (from[j] != 0)
                    all[count++] = byMagnitude ? CandidateKey.OfMagnitude(from[j], rank * k + j)
                        : CandidateKey.Of(from[j], rank * k + j);
        }
        Largest.Keep(all, count, kept, scratch);
        count = Math.Min(count, kept);
        for (var i = 0; i < count; i++)
        {
            var entry = CandidateKey.LatentOf(all[i]);
            owners.Answers(entry / k, row)[entry % k] = (byte)(1 + LevelOf(all, count, all[i]));
        }
        if (batch is not null) ListBatch(row, all, count);
    }

    int LevelOf(ulong* all, int count, ulong key)
    {
        if (spec.Nested is not Nesting.Budgets budgets) return 0;
        var larger = 0;
        for (var i = 0; i < count; i++)
            if (all[i] > key) larger++;
        return EntryLevels.LevelOf(budgets, larger);
    }

    /// <summary>Writes the values of an owned row in ascending order of the latent, and sets for each rank the place
    /// of its first one.</summary>
    void ListBatch(int row, ulong* all, int count)
    {
        var to = batch + ((long)plan.Rank * owners.RowsEach + row) * k;
        new Span<float>(to, k).Clear();
        for (var i = 0; i < count; i++)
        {
            var entry = CandidateKey.LatentOf(all[i]);
            to[i] = owners.Received(entry / k, row)[entry % k];
            for (var rank = entry / k + 1; rank < plan.Ranks; rank++) owners.AnswerNumber(rank, row)++;
        }
    }

    void Apply(int block, int worker)
    {
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++) Apply(b);
    }

    void Apply(int b)
    {
        var answers = owners.Answered(b);
        for (var j = 0; j < rowCount[b]; j++)
        {
            if (answers[j] == 0) value[b * k + j] = 0;
            else if (level is not null) level[b * k + j] = (byte)(answers[j] - 1);
        }
    }

    /// <summary>Takes the values of this rank's entries from <see cref="BatchValues"/>, after the selection over the
    /// batch.</summary>
    public void TakeBatch()
    {
        for (var b = 0; b < B; b++)
        {
            var answers = owners.Answered(b);
            var place = owners.AnsweredNumber(b);
            for (var j = 0; j < rowCount[b]; j++)
                if (answers[j] != 0) value[b * k + j] = batch[(long)b * k + place++];
        }
    }
}
