using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The phase decode: it computes residuals, loss and ∂L/∂value (kernels/decode.cu), and the sums of a step
/// (kernels/sums.cu).</summary>
sealed unsafe class DecodePhase
{
    const int Block = 256, RowsPerSum = 64, SharedLimit = 160 << 10, MostWarps = 4, SumsOfBlock = 12, SumBlocks = 32;

    readonly KernelContext context;
    readonly ColumnSpread target;
    readonly DeviceArray<double> sumParts;
    readonly DeviceArray<int> ticket;
    readonly int slice, warps, levels, report;

    public DecodePhase(KernelContext context)
    {
        this.context = context;
        var (arena, spec, rows, lo) = (context.Arena, context.Spec, (long)context.Rows, (long)context.Lo);
        (levels, Gated) = (spec.Levels, spec.Selection is Selection.Gated);
        report = spec.Nested is Nesting.Budgets { Report: > 0 } named ? Array.IndexOf(named.Ks, named.Report)
            : levels - 1;
        RowBlocks = (context.Rows + RowsPerSum - 1) / RowsPerSum;
        RowNorm = arena.Take<float>("|y|^2 by row", rows);
        RowReconstruction = arena.Take<float>("|xhat|^2 by row", rows);
        RowActive = arena.Take<int>("active by row", rows);
        RowLevelError = arena.Take<float>("error of all levels by row", rows);
        RowGateError = arena.Take<float>("gate error by row", Gated ? rows : 0);
        target = new(context, "y");
        ResidualParts = arena.Take<float>("column sums of e", RowBlocks * lo);
        WeightedParts = arena.Take<float>("column sums of weighted e", RowBlocks * lo);
        sumParts = arena.Take<double>("step sums by block", SumBlocks * SumsOfBlock);
        ticket = arena.Take<int>("step sums, blocks done", 1);
        if (context.Ranks is not null)
        {
            var part = context.Chunks[0].Count * lo;
            RankSums = arena.Take<float>("reconstructions of ranks", context.Padded(levels * part));
            GateSums = arena.Take<float>("gate's reconstruction of ranks", Gated ? context.Padded(part) : 0);
        }
        slice = context.Active <= 64 ? 256 : context.Active <= 128 ? 128 : 64;
        warps = Math.Min(MostWarps, (context.Lo + slice - 1) / slice);
        while (warps > 1 && SharedBytes > SharedLimit / 2) warps--;
        if (SharedBytes > SharedLimit)
            throw new SaeException($"K = {context.Active} with {levels} nested reconstructions needs {SharedBytes} "
                + $"bytes of shared memory in decode; {SharedLimit} are available");
    }

    bool Gated { get; }

    /// <summary>[levels, rows of a chunk, lo] reconstructions without b_dec over all ranks, with a padded length; empty
    /// for one process. <see cref="GateSums"/> holds the gate's.</summary>
    public DeviceArray<float> RankSums { get; }
    public DeviceArray<float> GateSums { get; }

    /// <summary>Number of blocks of 64 rows.</summary>
    public int RowBlocks { get; }

    /// <summary>[RowBlocks, lo] column sums of e. <see cref="WeightedParts"/> holds those of the weighted e, the
    /// gradient of b_dec.</summary>
    public DeviceArray<float> ResidualParts { get; }
    public DeviceArray<float> WeightedParts { get; }

    public DeviceArray<float> RowNorm { get; }              // [B]
    public DeviceArray<float> RowReconstruction { get; }    // [B]
    // [B] Σ w_m |e_m|²; the dense path writes it only with nested losses
    public DeviceArray<float> RowLevelError { get; }
    public DeviceArray<float> RowGateError { get; }         // [B]
    public DeviceArray<int> RowActive { get; }              // [B]

    int SharedBytes => SharedMemory.Decode(warps, context.Active, levels, Gated ? 1 : 0, slice);

    /// <summary>Runs the phase on the sparse path.</summary>
    /// <param name="baseline">[B, lo] output of a skip connection or of the hot latents; may be empty.</param>
    public void Run(DeviceArray<float> baseline)
    {
        if (context.Ranks is not null)
        {
            RunOnRanks(baseline, context.AllRows);
            FinishOnRanks();
            return;
        }
        context.Launch("decode", Shape(context.AllRows), Parameters(baseline, context.AllRows));
        SumColumns();
    }

    Launch Shape(RowRange rows) => new(rows.Count, 32 * warps, SharedBytes);

    /// <summary>Returns the parameters for some rows. Arrays begin at the first of them.</summary>
    DecodeParams Parameters(DeviceArray<float> baseline, RowRange rows)
    {
        var (buffers, lo, k) = (context.Buffers, context.Lo, context.Active);
        var parameters = new DecodeParams
        {
            WDec = buffers.WDecHi.Pointer, BDec = buffers.BDec.Pointer, Baseline = rows.Of(baseline, lo).Pointer,
            Y = rows.Of(buffers.Y, lo).Pointer, Index = rows.Of(buffers.GatherIndex, k).Pointer,
            Value = rows.Of(buffers.GatherValue, k).Pointer,
            Gate = Gated ? rows.Of(buffers.PreAct, k).Pointer : 0,
            RowCount = rows.Of(buffers.GatherCount).Pointer, Level = rows.Of(buffers.Level, k).Pointer,
            Scalars = buffers.Scalars.Pointer,
            Residual = rows.Of(buffers.Residual, lo).Pointer,
            ResidualBf16 = rows.Of(buffers.ResidualBf16, lo).Pointer,
            Weighted = rows.Of(buffers.Weighted, lo).Pointer,
            GateResidual = rows.Of(buffers.GateResidual, lo).Pointer,
            GateResidualBf16 = rows.Of(buffers.GateResidualBf16, lo).Pointer,
            ValueGrad = rows.Of(buffers.ValueGrad, k).Pointer, GateGrad = rows.Of(buffers.GateGrad, k).Pointer,
            RowError = rows.Of(buffers.RowError).Pointer, RowNorm = rows.Of(RowNorm).Pointer,
            RowLevelError = rows.Of(RowLevelError).Pointer, RowGateError = rows.Of(RowGateError).Pointer,
            RowReconstruction = rows.Of(RowReconstruction).Pointer, RowActive = rows.Of(RowActive).Pointer,
            Rows = context.Rows, SumRows = rows.Count, Lo = lo, Active = k, Slice = slice,
            Capacity = k, Levels = levels, Report = report,
            Paired = context.Loss.Selection >= SelectionCode.JumpRelu ? 1 : 0,
            Sums = RankSums.Pointer, GateSums = GateSums.Pointer,
        };
        for (var m = 0; m < levels; m++) parameters.LevelWeight[m] = context.LevelWeight(m);
        return parameters;
    }

    /// <summary>Decodes some rows in two halves. Between them the ranks add their reconstructions.</summary>
    /// <param name="baseline">[B, lo] output of a skip connection; may be empty.</param>
    /// <param name="rows">The rows.</param>
    public void RunOnRanks(DeviceArray<float> baseline, RowRange rows)
    {
        var (ranks, parameters, size) = (context.Ranks!, Parameters(baseline, rows), (long)rows.Count * context.Lo);
        context.Launch("decode_part", Shape(rows), parameters);
        ranks.Add(RankSums with { Length = context.Padded(levels * size) });
        if (Gated) ranks.Add(GateSums with { Length = context.Padded(size) });
        context.Launch("decode_rest", Shape(rows), parameters);
    }

    /// <summary>Completes the phase on several ranks, after all rows are decoded.</summary>
    public void FinishOnRanks()
    {
        context.Ranks!.Sum(RowActive);
        SumColumns();
    }

    public void SumColumns()
    {
        var buffers = context.Buffers;
        context.Launch("column_sums", new(context.Blocks((long)RowBlocks * ((context.Lo + 127) / 128), 4), 128),
            new ColumnSumsParams
            {
                Residual = buffers.Residual.Pointer, Weighted = buffers.Weighted.Pointer,
                Gate = context.Loss.LiveGate == 1 ? buffers.GateResidual.Pointer : 0,
                ResidualParts = ResidualParts.Pointer, WeightedParts = WeightedParts.Pointer,
                Rows = context.Rows, Lo = context.Lo,
            });
        target.Run(buffers.Y);
    }

    /// <summary>Combines the partial results of all phases into the sums of the step.</summary>
    public void FinishSums(StepSumsParams given, bool dense)
    {
        var buffers = context.Buffers;
        given.Scalars = buffers.Scalars.Pointer;
        (given.RowError, given.RowNorm, given.RowReconstruction, given.RowActive) =
            (buffers.RowError.Pointer, RowNorm.Pointer, RowReconstruction.Pointer, RowActive.Pointer);
        given.RowLevelError = dense && levels == 1 ? 0 : RowLevelError.Pointer;
        given.RowGateError = RowGateError.Pointer;
        (given.Means, given.Spreads) = (target.Means.Pointer, target.Spreads.Pointer);
        (given.DeadCount, given.Sums) = (buffers.DeadCount.Pointer, buffers.Sums.Pointer);
        (given.Rows, given.Lo, given.Latents) = (context.Rows, context.Lo, context.Latents);
        (given.Penalty, given.Target, given.Dense) = (context.Loss.Penalty, context.Loss.Target, dense ? 1 : 0);
        (given.Parts, given.Ticket) = (sumParts.Pointer, ticket.Pointer);
        var blocks = Math.Min(SumBlocks, context.Blocks(Math.Max(context.Rows, context.Lo), Block));
        context.Launch("step_sums", new(blocks, Block, SharedMemory.StepSums), given);
    }
}
