using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The k largest entries of each row over all ranks (kernels/shard.cu). Every rank has selected the k largest
/// among its own latents; the row's owner keeps the k largest of all, among equal ones those of the lower latents. A
/// rank sends 4 bytes for each of its entries and receives 1 byte for each, for any number of ranks.</summary>
sealed unsafe class RankSelection
{
    const int Block = 256, SelectThreads = 128;

    readonly KernelContext context;
    readonly RankExchange ranks;
    readonly DeviceArray<float> offers, offered;    // [P R, k], where P R is at least the number of rows
    readonly DeviceArray<byte> answers, answered;   // [P R, stride]
    readonly int active, rowsEach;

    /// <param name="rows">The most rows of a selection.</param>
    /// <param name="active">k: entries of a row on each rank, and the most that a row keeps.</param>
    /// <param name="name">What is selected, for the memory plan.</param>
    public RankSelection(KernelContext context, RankExchange ranks, int rows, int active, string name)
    {
        (this.context, this.ranks, this.active) = (context, ranks, active);
        rowsEach = (rows + ranks.Ranks - 1) / ranks.Ranks;
        var all = (long)ranks.Ranks * rowsEach;
        offers = context.Arena.Take<float>($"{name}, values to owners", all * active);
        offered = context.Arena.Take<float>($"{name}, values of owned rows", all * active);
        answers = context.Arena.Take<byte>($"{name}, answers", all * Stride);
        answered = context.Arena.Take<byte>($"{name}, answers received", all * Stride);
    }

    /// <summary>Bytes of the answers of a row: answer_stride of kernels/shard.cu.</summary>
    int Stride => 4 + (active + 3 & ~3);

    int OwnedRows(int rows) => Math.Clamp(rows - ranks.Rank * rowsEach, 0, rowsEach);

    /// <summary>How the entries of a row are selected.</summary>
    public readonly record struct Rule
    {
        /// <summary>Whether entries of value 0 or below are candidates.</summary>
        public bool Zeros { get; init; }

        /// <summary>Whether magnitudes are compared.</summary>
        public bool Magnitude { get; init; }

        /// <summary>[1] scalars whose k is the number of entries that a row keeps; empty for <c>active</c>.</summary>
        public DeviceArray<StepScalars> Scalars { get; init; }

        /// <summary>[1] counts the owned rows that keep as many entries as there is room for; empty for none.</summary>
        public DeviceArray<int> Overflows { get; init; }

        /// <summary>Nested reconstructions by the rank of an entry in its row; null for none.</summary>
        public Nesting.Budgets? Budgets { get; init; }
    }

    /// <summary>Selects the entries. <see cref="Apply"/> then removes those that are not kept.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="index">[B, k].</param>
    /// <param name="value">[B, k].</param>
    public void Run(RowRange rows, DeviceArray<int> index, DeviceArray<float> value, in Rule rule)
    {
        context.Launch("shard_offer", new(context.Blocks(offers.Length, Block), Block), new ShardOfferParams
        {
            Index = rows.Of(index, active).Pointer, Value = rows.Of(value, active).Pointer, Offers = offers.Pointer,
            Rows = rows.Count,
            Active = active, AllRows = ranks.Ranks * rowsEach, Zeros = rule.Zeros ? 1 : 0,
        });
        ranks.AllToAll(offers, offered);
        var select = new ShardSelectParams
        {
            Scalars = rule.Scalars.Pointer, Offers = offered.Pointer, Answers = answers.Pointer,
            Overflows = rule.Overflows.Pointer, Ranks = ranks.Ranks, RowsEach = rowsEach, Owned = OwnedRows(rows.Count),
            Active = active, Keep = active, Magnitude = rule.Magnitude ? 1 : 0, Levels = 1,
        };
        if (rule.Budgets is { } budgets)
        {
            select.Levels = budgets.Ks.Length;
            for (var m = 0; m < budgets.Ks.Length; m++) select.Budgets[m] = budgets.Ks[m];
        }
        context.Launch("shard_select", new(rowsEach, SelectThreads, SharedMemory.ShardSelect), select);
        ranks.AllToAll(answers, answered);
    }

    /// <summary>Applies the owners' answers to arrays [B, k]; an empty array stays as it is.</summary>
    /// <param name="rows">The rows of the last <see cref="Run"/>.</param>
    /// <param name="index">Receives −1 where an entry is not kept.</param>
    /// <param name="value">Receives 0 where an entry is not kept.</param>
    /// <param name="level">Receives the first nested reconstruction that contains the entry.</param>
    /// <param name="place">Receives the number of the entry among those of all ranks.</param>
    public void Apply(RowRange rows, DeviceArray<int> index = default, DeviceArray<float> value = default,
        DeviceArray<byte> level = default, DeviceArray<int> place = default) =>
        context.Launch("shard_apply", new((rows.Count + 7) / 8, Block), new ShardApplyParams
        {
            Answers = answered.Pointer, Index = rows.Of(index, active).Pointer,
            Value = rows.Of(value, active).Pointer, Level = rows.Of(level, active).Pointer,
            Place = rows.Of(place, active).Pointer, Rows = rows.Count, Active = active,
        });
}
