using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>Runs encode, select and decode on several ranks by chunks of rows: a chunk is encoded on the stream of the
/// phases while, on a second stream, the ranks select and decode the chunk before it, with all exchanges. A row's
/// results do not depend on the chunks.</summary>
sealed class OverlapPhase
{
    readonly KernelContext context;
    readonly SelectPhase select;
    readonly DecodePhase decode;
    readonly EncodePhase[] encoders;        // of the chunks

    /// <summary>Takes the phase's memory.</summary>
    /// <param name="encode">The encoder of all rows, which provides scratch memory.</param>
    public OverlapPhase(KernelContext context, EncodePhase encode, SelectPhase select, DecodePhase decode)
    {
        (this.context, this.select, this.decode) = (context, select, decode);
        var chunks = context.Chunks;
        Overflows = context.Arena.Take<int>("encode overflows of chunks", chunks.Length);
        encoders = [.. chunks.Index().Select(chunk => new EncodePhase(context,
            encode.Target with { Rows = chunk.Item }, encode.Capacity, lender: encode,
            new RowRange(chunk.Index, 1).Of(Overflows)) { Reference = encode.Reference })];
    }

    /// <summary>[chunks] number of rows of each chunk that took the exact fallback of encode.</summary>
    public DeviceArray<int> Overflows { get; }

    /// <summary>Runs the phases. Afterwards the stream of the phases waits for both streams.</summary>
    /// <param name="baseline">[B, lo] output of a skip connection; may be empty.</param>
    public void Run(DeviceArray<float> baseline)
    {
        foreach (var (rows, encode) in context.Chunks.Zip(encoders))
        {
            encode.Run();
            context.RunBeside(() =>
            {
                select.RunOnRanks(rows);
                decode.RunOnRanks(baseline, rows);
            });
        }
        context.Join();
    }
}
