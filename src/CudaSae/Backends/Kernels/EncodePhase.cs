using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The columns that a selection reads, and the destination of its code.</summary>
sealed record EncodeTarget
{
    /// <summary>The most columns of the pre-activations.</summary>
    public required int Columns { get; init; }

    /// <summary>The rows of the batch; null for all.</summary>
    public RowRange? Rows { get; init; }

    /// <summary>k: the number of entries in every row of the code.</summary>
    public required int Active { get; init; }

    /// <summary>Whether values pass a ReLU.</summary>
    public bool Relu { get; init; } = true;

    /// <summary>Whether |z| is compared instead of z; values keep their signs.</summary>
    public bool Magnitude { get; init; }

    /// <summary>[1] scalars whose k is the number of entries that keep their value; empty for all.</summary>
    public DeviceArray<StepScalars> Scalars { get; init; }

    /// <summary>[Columns] latent of each column; empty if column f is latent f.</summary>
    public DeviceArray<int> ColumnRows { get; init; }

    /// <summary>[1] current number of columns, read on the device; empty for all. With fewer than k columns, the code
    /// of a row ends in entries of index −1 and value 0.</summary>
    public DeviceArray<int> ColumnCount { get; init; }

    /// <summary>[B, k] column numbers, ascending in a row.</summary>
    public required DeviceArray<int> Index { get; init; }

    /// <summary>[B, k] values.</summary>
    public required DeviceArray<float> Value { get; init; }
}

/// <summary>The phase encode: it finds the k largest pre-activations of each row exactly, without storing [B, n].
/// Growing chunks of columns are filtered by the k-th largest value so far (kernels/encode.cu), and reduced to k after
/// each chunk (kernels/select.cu). All launches have a fixed order and no decision needs the host. On Hopper one launch
/// processes all columns after the first chunk.</summary>
sealed partial class EncodePhase
{
    /// <summary>The most candidates that a selection holds in the registers of one block (SELECT_KEYS).</summary>
    public const int MaxCapacity = 2048;

    const int Tile = 128, SegmentLimit = 16;

    readonly KernelContext context;
    readonly EncodeTarget target;
    readonly RowRange rows;
    readonly DeviceArray<ulong> candidates;     // [rows, stride] order_key << 32 | ~column
    readonly DeviceArray<int> count;            // [rows]
    readonly DeviceArray<uint> limit;           // [rows] smallest order_key that is still a candidate
    readonly DeviceArray<int> redo;             // [rows] rows over capacity
    readonly DeviceArray<RowBuckets> buckets;   // [rows], for Hopper only, like the next
    readonly DeviceArray<int> retry;            // [1 + tiles of rows]
    readonly int stride, capacity, segments;
    readonly int[] chunkEnds, sweepEnds;
    readonly Lazy<HopperOperands?> hopper;

    /// <summary>Makes the step's encoder, which reads all latents and writes Buffers.Index and Buffers.Value.</summary>
    public EncodePhase(KernelContext context, int capacity = MaxCapacity) : this(context, new()
    {
        // GroupMax keeps a chunk whole; this phase does not select from it.
        Columns = context.Latents, Active = context.Spec.Selection is Selection.GroupMax ? 1
            : context.Active, Index = context.Buffers.Index, Value = context.Buffers.Value,
        Relu = context.Spec.Selection is not Selection.AbsTopK, Magnitude = context.Spec.Selection is Selection.AbsTopK,
        Scalars = context.Spec.Selection is Selection.TopK { InitialK: > 0 } ? context.Buffers.Scalars : default,
    }, capacity)
    { }

    /// <summary>Makes a selection of any columns of the encoder.</summary>
    /// <param name="target">The columns and the destination.</param>
    /// <param name="capacity">Candidates of a row beyond which it takes the exact fallback; 64 to 2048.</param>
    /// <param name="lender">A phase whose scratch memory may be shared, because the two never run concurrently.</param>
    /// <param name="overflows">[1] memory for <see cref="Overflows"/>; empty to take it.</param>
    public EncodePhase(KernelContext context, EncodeTarget target, int capacity = MaxCapacity,
        EncodePhase? lender = null, DeviceArray<int> overflows = default)
    {
        this.context = context;
        this.target = target;
        rows = target.Rows ?? new(0, context.Rows);
        hopper = new(() => target.Rows is null ? context.Hopper : HopperOperands.For(context, rows));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, MaxCapacity);
        this.capacity = Math.Min(capacity, RoundUp(target.Columns, Tile));
        if (target.Columns > this.capacity)
            ArgumentOutOfRangeException.ThrowIfLessThan(this.capacity, 2 * target.Active, nameof(capacity));
        chunkEnds = ChunkEnds(target.Columns, target.Active, this.capacity);
        sweepEnds = SweepEnds(target.Columns, target.Active, chunkEnds[0], this.capacity);

        stride = Math.Max(this.capacity, target.Active + Tile);      // the fallback needs k and a tile
        if (lender is not null && lender.stride >= stride)
            (stride, candidates, count, limit, redo, buckets, retry) = (lender.stride, lender.candidates, lender.count,
                lender.limit, lender.redo, lender.buckets, lender.retry);
        else
        {
            var arena = context.Arena;
            candidates = arena.Take<ulong>("encode candidates", (long)rows.Count * stride);
            count = arena.Take<int>("encode candidate counts", rows.Count);
            limit = arena.Take<uint>("encode limits", rows.Count);
            redo = arena.Take<int>("encode rows over capacity", rows.Count);
            buckets = arena.Take<RowBuckets>("encode buckets", rows.Count);
            retry = arena.Take<int>("encode tiles to repeat", 1 + HopperOperands.RowTiles(rows.Count));
        }
        segments = Math.Clamp(stride / (target.Active + Tile), 1, SegmentLimit);
        Overflows = overflows.Length > 0 ? overflows : context.Arena.Take<int>("encode overflows", 1);
    }

    /// <summary>[1] number of rows of the last run that took the exact fallback.</summary>
    public DeviceArray<int> Overflows { get; }

    /// <summary>[B, <see cref="CandidateStride"/>] output of <see cref="KeepWhole"/>.</summary>
    public DeviceArray<ulong> Candidates => candidates;
    public int CandidateStride => stride;

    public EncodeTarget Target => target;

    /// <summary>k: entries of a row.</summary>
    public int Active => target.Active;

    /// <summary>Candidates of a row beyond which it takes the exact fallback.</summary>
    public int Capacity => capacity;

    /// <summary>[B] number of candidates found in a row, including those beyond <see cref="Capacity"/>.</summary>
    public DeviceArray<int> Count => count;

    /// <summary>[B] smallest order_key that is still a candidate.</summary>
    public DeviceArray<uint> Limit => limit;

    /// <summary>Whether to compute in float32 from the full weights, without tensor cores. This is slow and serves as
    /// the reference.</summary>
    public bool Reference { get; set; }

    /// <summary>Returns the ends of the chunks of columns; the last is <paramref name="columns"/>. The first chunk is
    /// kept whole. Each later chunk is expected to add k (growth − 1) candidates; growth is chosen so that this stays
    /// below five eighths of the capacity.</summary>
    public static int[] ChunkEnds(int columns, int active, int capacity)
    {
        if (columns <= capacity) return [columns];
        var first = Math.Min(capacity, Math.Max(capacity / 2, 2 * active));
        var most = Math.Clamp(0.625 * capacity / active, 1.25, 8);
        var stages = Math.Max(1, (int)Math.Ceiling(Math.Log(columns / (double)first) / Math.Log(most) - 1e-9));
        var growth = Math.Pow(columns / (double)first, 1.0 / stages);
        List<int> ends = [first];
        for (var stage = 1; stage < stages; ++stage)
        {
            var end = RoundUp((int)(first * Math.Pow(growth, stage)), Math.Min(Tile, first));
            if (end > ends[^1] && end < columns) ends.Add(end);
        }
        ends.Add(columns);
        return [.. ends];
    }

    /// <summary>Runs the phase. It reads XCentered (or X and BDec), the encoder and its bias, and writes the target's
    /// index and value and <see cref="Overflows"/>.</summary>
    public void Run()
    {
        if (Reference) RunReference();
        else if (Hopper is { } hopper) RunSweeps(hopper);
        else RunChunks();
    }

    /// <summary>Keeps columns [begin, end) whole, at most <see cref="CandidateStride"/> of them: the key of column c of
    /// a row is stored at c − begin.</summary>
    public void KeepWhole(int begin, int end)
    {
        if (Reference) EncodeF32(begin, end, offset: 0);
        else if (Hopper is { } hopper) Sweep(hopper, begin, end, keepAll: true);
        else Encode(begin, end, keepAll: true);
    }

    // TMA cannot load listed columns, which do not form a matrix.
    HopperOperands? Hopper => target.ColumnRows.Length == 0 && target.ColumnCount.Length == 0 ? hopper.Value : null;

    void RunChunks()
    {
        for (int i = 0, begin = 0; i < chunkEnds.Length; begin = chunkEnds[i++])
        {
            Encode(begin, chunkEnds[i], keepAll: i == 0);
            Cut(i == 0 ? chunkEnds[0] : 0, last: i == chunkEnds.Length - 1);
        }
        if (chunkEnds.Length > 1) Redo();
    }

    /// <summary>Reduces the candidates of each row to the k best after a chunk. They set the row's limit, or become its
    /// code after the last chunk.</summary>
    /// <param name="whole">Number of columns of the first chunk, which was kept whole; 0 after other chunks.</param>
    /// <param name="last">Whether it was the last chunk.</param>
    public void Cut(int whole, bool last)
    {
        if (last) SelectFinal(carried: 0, begin: 0, whole, capacity);
        else SelectThreshold(carried: 0, begin: 0, whole, capacity);
    }

    /// <summary>Repeats rows that exceeded the capacity, exactly.</summary>
    public void Redo()
    {
        EncodeExact();
        SelectFinal(carried: 0, begin: 0, end: 0, stride, exact: true);
    }

    // Every chunk is kept whole beside the k best so far, so that no row can exceed the capacity.
    void RunReference()
    {
        for (int begin = 0, offset = 0; begin < target.Columns; offset = target.Active)
        {
            var end = (int)Math.Min(target.Columns, (long)begin + stride - offset);
            EncodeF32(begin, end, offset);
            if (end < target.Columns) SelectThreshold(offset, begin, end, stride);
            else SelectFinal(offset, begin, end, stride);
            begin = end;
        }
    }

    /// <summary>Finds the candidates of columns [begin, end) with the portable kernel.</summary>
    /// <param name="begin">First column.</param>
    /// <param name="end">End of the columns.</param>
    /// <param name="keepAll">Whether every column is kept, as in the first chunk; otherwise only those above the row's
    /// limit.</param>
    public void Encode(int begin, int end, bool keepAll) =>
        context.Launch("encode", new(checked(Tiles(rows.Count) * Tiles(end - begin)), Tile, SharedMemory.Tile),
            Parameters(begin, end, keepAll));

    EncodeParams Parameters(int begin, int end, bool keepAll) => new()
    {
        XCentered = rows.Of(context.Buffers.XCentered, context.Ld).Pointer, WEnc = context.Buffers.WEncHi.Pointer,
        BEnc = context.Buffers.BEnc.Pointer,
        ColumnRows = target.ColumnRows.Pointer, ColumnCount = target.ColumnCount.Pointer,
        Limit = limit.Pointer, Count = count.Pointer, Candidates = candidates.Pointer, Overflows = Overflows.Pointer,
        Rows = rows.Count, Ld = context.Ld, Begin = begin, End = end,
        Stride = stride, Capacity = capacity, Dense = keepAll ? 1 : 0, Magnitude = Magnitude,
    };

    void EncodeExact()
    {
        var buffers = context.Buffers;
        var shape = new Launch(Tiles(rows.Count), Tile, SharedMemory.EncodeExact, segments);
        context.Launch("encode_exact", shape, new EncodeExactParams
        {
            XCentered = rows.Of(buffers.XCentered, context.Ld).Pointer, WEnc = buffers.WEncHi.Pointer,
            BEnc = buffers.BEnc.Pointer,
            ColumnRows = target.ColumnRows.Pointer, ColumnCount = target.ColumnCount.Pointer,
            Redo = redo.Pointer, Overflows = Overflows.Pointer, Candidates = candidates.Pointer,
            Ld = context.Ld, Columns = target.Columns, Stride = stride, Segments = segments, Active = target.Active,
            Magnitude = Magnitude,
        });
    }

    void EncodeF32(int begin, int end, int offset)
    {
        var buffers = context.Buffers;
        var shape = new Launch((end - begin + 31) / 32, 256, SharedMemory.EncodeF32, (rows.Count + 31) / 32);
        context.Launch("encode_f32", shape, new EncodeF32Params
        {
            X = rows.Of(buffers.X, context.Ld).Pointer, BDec = context.Spec.PreEncoderBias ? buffers.BDec.Pointer
                : 0, WEncHi = buffers.WEncHi.Pointer,
            WEncLo = buffers.WEncLo.Length == 0 ? 0 : buffers.WEncLo.Pointer, BEnc = buffers.BEnc.Pointer,
            ColumnRows = target.ColumnRows.Pointer, ColumnCount = target.ColumnCount.Pointer,
            Candidates = candidates.Pointer, Overflows = Overflows.Pointer,
            Rows = rows.Count, Ld = context.Ld, Begin = begin, End = end, Stride = stride, Offset = offset,
            Magnitude = Magnitude,
        });
    }

    int Magnitude => target.Magnitude ? 1 : 0;

    void SelectThreshold(int carried, int begin, int end, int room, ulong started = 0)
    {
        var shape = new Launch(rows.Count, Tile, SharedMemory.SelectThreshold);
        context.Launch("select_threshold", shape, new SelectThresholdParams
        {
            Candidates = candidates.Pointer, Count = count.Pointer, Limit = limit.Pointer,
            ColumnCount = target.ColumnCount.Pointer, Buckets = started,
            Stride = stride, Capacity = room, Active = target.Active,
            Carried = carried, ChunkBegin = begin, ChunkEnd = end,
        });
    }

    void SelectFinal(int carried, int begin, int end, int room, bool exact = false) =>
        context.Launch("select_final", new(rows.Count, Tile, SharedMemory.SelectFinal), new SelectFinalParams
        {
            Candidates = candidates.Pointer, Count = count.Pointer, ColumnCount = target.ColumnCount.Pointer,
            Scalars = target.Scalars.Pointer, Redo = redo.Pointer, Overflows = Overflows.Pointer,
            Index = rows.Of(target.Index, target.Active).Pointer, Value = rows.Of(target.Value, target.Active).Pointer,
            Stride = stride, Capacity = room, Active = target.Active,
            Carried = carried, ChunkBegin = begin, ChunkEnd = end,
            Relu = target.Relu ? 1 : 0, Exact = exact ? 1 : 0,
        });

    static int Tiles(int extent) => (extent + Tile - 1) / Tile;
    static int RoundUp(int value, int unit) =>
        (int)Math.Min(int.MaxValue / unit * unit, ((long)value + unit - 1) / unit * unit);
}
