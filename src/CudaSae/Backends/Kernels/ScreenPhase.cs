using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The phase encode with 8-bit screening. Products of 8-bit numbers and a probabilistic bound exclude most
/// columns (kernels/screen.cu); the rest are computed exactly (kernels/rescore.cu), with the same bits as
/// kernels/encode.cu. On Hopper kernels/sm90/screen_sm90.cu computes the same products. The 8-bit copy of WEnc, its
/// shadow, is made from the weights at the start of each step (kernels/quantize.cu), so checkpoints do not contain
/// it.</summary>
sealed class ScreenPhase
{
    /// <summary>δ: the largest probability that an entry of a row's code is lost. A step loses at most δ·B·k entries on
    /// average.</summary>
    public const double MissProbability = 1e-9;

    const int Tile = 128, QuantizeRows = 8;
    const ulong MissesAt = 4, ShortfallAt = 8;      // places in ScreenAudit
    const int RescaleEvery = 1024, ScaleSample = 1024, ExactShare = 16;

    readonly KernelContext context;
    readonly EncodePhase encode;
    readonly EncodePhase? exact;
    readonly DeviceArray<int> lastTouched, quantizedAt, exactIndex;
    readonly DeviceArray<float> exactValue;
    readonly DeviceArray<ScreenAudit> rankAudit;        // [1] of one step, on several ranks
    readonly DeviceArray<sbyte> w, x;
    readonly DeviceArray<ScreenRow> wRow, xRow;
    readonly int[] chunkEnds;
    readonly int exactEnd;
    readonly Lazy<HopperOperands?> hopper;

    /// <summary>Takes the phase's memory.</summary>
    /// <param name="encode">The step's encoder, which provides scratch memory and the kernels for the first columns and
    /// for rows over capacity.</param>
    /// <param name="lastTouched">[n] step of each latent's last update; empty if every step updates all
    /// latents.</param>
    public ScreenPhase(KernelContext context, EncodePhase encode, DeviceArray<int> lastTouched)
    {
        (this.context, this.encode, this.lastTouched) = (context, encode, lastTouched);
        (chunkEnds, exactEnd) = ChunkEnds(context.Latents, encode.Active, encode.Capacity);
        var arena = context.Arena;
        long n = context.Latents, ld = context.Ld, rows = context.Rows;
        w = arena.Take<sbyte>("w_enc, 8-bit shadow", n * ld);
        wRow = arena.Take<ScreenRow>("w_enc, 8-bit steps and norms", n);
        x = arena.Take<sbyte>("x - b_dec, 8-bit", rows * ld);
        xRow = arena.Take<ScreenRow>("x - b_dec, 8-bit steps and norms", rows);
        Scale = arena.Take<float>("8-bit scales", ld);
        quantizedAt = arena.Take<int>("step of the 8-bit shadow", lastTouched.Length);
        AuditCounts = arena.Take<ScreenAudit>("8-bit audit", 1);
        rankAudit = arena.Take<ScreenAudit>("8-bit audit of ranks", context.Ranks is null ? 0 : 1);
        hopper = new(() => HopperOperands.ForScreening(context, x, w));
        if (context.Config.ScreeningAudit == 0) return;
        exactIndex = arena.Take<int>("8-bit audit, code index", rows * encode.Active);
        exactValue = arena.Take<float>("8-bit audit, code value", rows * encode.Active);
        exact = new(context, encode.Target with { Index = exactIndex, Value = exactValue }, encode.Capacity, encode);
    }

    /// <summary>[n, ld] WEnc times <see cref="Scale"/> in 8 bits, from the last encoding.</summary>
    public DeviceArray<sbyte> Shadow => w;

    /// <summary>[n] steps and norms of <see cref="Shadow"/>.</summary>
    public DeviceArray<ScreenRow> ShadowRows => wRow;

    /// <summary>[ld] scales s: x is divided by s, w is multiplied by s.</summary>
    public DeviceArray<float> Scale { get; }

    /// <summary>[1] counts of the audits.</summary>
    public DeviceArray<ScreenAudit> AuditCounts { get; }

    /// <summary>Factor of the bound's margin. Below 1 entries are lost, which tests of the audit use.</summary>
    public float MarginFactor { get; set; } = 1;

    /// <summary>Divides the columns into chunks. At least a sixteenth of them is encoded exactly, in the encoder's
    /// chunks. The others are screened; each chunk is as long as all chunks before it, so that limits rise before most
    /// columns are screened.</summary>
    /// <returns>The ends of all chunks, and the column at which screening begins.</returns>
    public static (int[] Ends, int Exact) ChunkEnds(int columns, int active, int capacity)
    {
        var exact = (int)Math.Min(columns,
            Math.Max((columns / (long)ExactShare + Tile - 1) / Tile * Tile,
                Math.Min(capacity, Math.Max(capacity / 2, 2 * active))));
        List<int> ends = [.. EncodePhase.ChunkEnds(exact, active, capacity)];
        while (ends[^1] < columns) ends.Add((int)Math.Min(columns, 2L * ends[^1]));
        return ([.. ends], exact);
    }

    /// <summary>Replaces <see cref="EncodePhase.Run"/>, with the same inputs and outputs.</summary>
    public void Run()
    {
        if (encode.Reference)
        {
            encode.Run();
            return;
        }
        Quantize();
        for (int i = 0, begin = 0; i < chunkEnds.Length; begin = chunkEnds[i++])
        {
            if (begin < exactEnd) encode.Encode(begin, chunkEnds[i], keepAll: i == 0);
            else
            {
                Screen(begin, chunkEnds[i]);
                Rescore();
            }
            encode.Cut(i == 0 ? chunkEnds[0] : 0, last: i == chunkEnds.Length - 1);
        }
        if (chunkEnds.Length > 1) encode.Redo();
    }

    /// <summary>Returns whether the config schedules an audit in this step.</summary>
    public bool AuditIsDue(in StepScalars scalars) =>
        exact is not null && scalars.Inference == 0 && scalars.Step % (uint)context.Config.ScreeningAudit == 0;

    /// <summary>Computes this step's code with and without screening, before the step itself, and counts the
    /// differences in <see cref="AuditCounts"/>.</summary>
    public void Audit()
    {
        Run();
        exact!.Run();
        if (context.Ranks is not { } ranks)
        {
            Compare(AuditCounts);
            return;
        }
        context.Device.Fill32(rankAudit.Pointer, 0, rankAudit.Bytes / sizeof(uint), context.Stream);
        Compare(rankAudit);
        ranks.Sum(new(rankAudit.Pointer + MissesAt, 1));
        ranks.Max(new(rankAudit.Pointer + ShortfallAt, 1));
        context.Launch("shard_audit", new(1, 32),
            new ShardAuditParams { Own = rankAudit.Pointer, Audit = AuditCounts.Pointer });
    }

    /// <summary>Compares the screened code with the exact one, and adds the differences to counts.</summary>
    void Compare(DeviceArray<ScreenAudit> counts)
    {
        var buffers = context.Buffers;
        context.Launch("screen_audit", new(context.Rows, Tile, SharedMemory.ScreenAudit), new ScreenAuditParams
        {
            Index = buffers.Index.Pointer, Value = buffers.Value.Pointer, ExactIndex = exactIndex.Pointer,
            ExactValue = exactValue.Pointer, XRow = xRow.Pointer, WRow = wRow.Pointer,
            BEnc = buffers.BEnc.Pointer, Scalars = buffers.Scalars.Pointer, Audit = counts.Pointer,
            Active = encode.Active, Rounding = Rounding,
        });
    }

    /// <summary>Makes the next step quantize all weights, after weights were changed outside of a step.</summary>
    public void Forget()
    {
        if (quantizedAt.Length > 0) context.Device.Fill32(quantizedAt.Pointer, 0, quantizedAt.Length, context.Stream);
    }

    // The largest error of float32 sums of ld + 1 numbers and of the bound's few operations, relative to the product of
    // the norms.
    float Rounding => (context.Ld + 16) * MathF.ScaleB(1, -23);

    // The margin in steps times norms. The errors of dither in 16 bits and of v / step are below 2^-15 of a step.
    float Margin =>
        (float)(Math.Sqrt(Math.Log(1 / MissProbability) / 2) * (1 + Math.ScaleB(1, -18))
            + Math.Sqrt(2.0 * context.Ld) * Math.ScaleB(1, -15));

    /// <summary>Computes the scales and both operands in 8 bits.</summary>
    internal void Quantize()
    {
        var buffers = context.Buffers;
        context.Launch("screen_scales", new(context.Ld / 32, 256, SharedMemory.ScreenScales), new ScreenScalesParams
        {
            XCentered = buffers.XCentered.Pointer, WEnc = buffers.WEncHi.Pointer, Scalars = buffers.Scalars.Pointer,
            Scale = Scale.Pointer,
            Rows = context.Rows, Latents = context.Latents, Ld = context.Ld,
            Sample = Math.Min(context.Latents, ScaleSample), Every = RescaleEvery,
        });
        context.Ranks?.Broadcast(Scale);        // all ranks have the scales of rank 0
        Quantize(context.Rows, new()
        {
            From = buffers.XCentered.Pointer, Scale = Scale.Pointer, Scalars = buffers.Scalars.Pointer, To = x.Pointer,
            Row = xRow.Pointer, Rows = context.Rows, Ld = context.Ld, Every = RescaleEvery,
        });
        Quantize(context.Latents, new()
        {
            From = buffers.WEncHi.Pointer, Scale = Scale.Pointer, Scalars = buffers.Scalars.Pointer,
            LastTouched = lastTouched.Pointer, QuantizedAt = quantizedAt.Pointer,
            To = w.Pointer, Row = wRow.Pointer, Rows = context.Latents, Ld = context.Ld, Every = RescaleEvery,
            Weights = 1,
        });
    }

    void Quantize(int rows, in QuantizeParams parameters) =>
        context.Launch("quantize", new((rows + QuantizeRows - 1) / QuantizeRows, 256), parameters);

    /// <summary>Appends the columns of [begin, end) that cannot be excluded to each row's candidates.</summary>
    internal void Screen(int begin, int end)
    {
        var parameters = new ScreenParams
        {
            X = x.Pointer, W = w.Pointer, XRow = xRow.Pointer, WRow = wRow.Pointer, BEnc = context.Buffers.BEnc.Pointer,
            Limit = encode.Limit.Pointer, Count = encode.Count.Pointer, Candidates = encode.Candidates.Pointer,
            Rows = context.Rows, Ld = context.Ld, Begin = begin, End = end, Stride = encode.CandidateStride,
            Capacity = encode.Capacity, Magnitude = encode.Target.Magnitude
                ? 1 : 0,
            Margin = MarginFactor * Margin, Rounding = MarginFactor * Rounding,
        };
        if (hopper.Value is { } operands)
            context.Launch("screen_sm90", operands.Shape(end - begin),
                new ScreenSm90Params
                {
                    XMap = operands.XMap, WMap = operands.WMap, Screen = parameters, Cluster = operands.Cluster,
                    Skew = operands.Skew
                });
        else
        {
            var tiles = checked((context.Rows + Tile - 1) / Tile * ((end - begin + Tile - 1) / Tile));
            context.Launch("screen", new(tiles, Tile, SharedMemory.Tile), parameters);
        }
    }

    // A row enters a screened chunk with its k best; the candidates after them are new.
    void Rescore()
    {
        var shape = new Launch(context.Rows, Tile, SharedMemory.Rescore(context.Ld));
        context.Launch("rescore", shape, new RescoreParams
        {
            XCentered = context.Buffers.XCentered.Pointer, WEnc = context.Buffers.WEncHi.Pointer,
            BEnc = context.Buffers.BEnc.Pointer, Count = encode.Count.Pointer, Candidates = encode.Candidates.Pointer,
            Ld = context.Ld, First = encode.Active, Stride = encode.CandidateStride, Capacity = encode.Capacity,
            Magnitude = encode.Target.Magnitude ? 1 : 0,
        });
    }
}
