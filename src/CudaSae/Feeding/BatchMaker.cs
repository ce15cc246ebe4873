using CudaSae.Activations;
using CudaSae.Model;

namespace CudaSae.Feeding;

/// <summary>Fills successive batches with the rows of each epoch in order and skips rows that are not finite. One
/// thread at a time may use it.</summary>
abstract class BatchMaker : IDisposable
{
    readonly TrainConfig config;
    long skipped, inARow;

    protected BatchMaker(ActivationSource source, long rows, TrainConfig config, RowCursor start)
    {
        if (config.NonFinite == NonFiniteRows.Replace)
            throw new SaeException("NonFinite = Replace is for SaeTrainer, whose batches have a fixed size; a run that "
                + "reads data skips rows with Skip");
        (Source, Rows, this.config, Cursor) = (source, rows, config, start);
        Order = RowOrders.Of(config, start.Epoch, rows, source.RowBytes);
    }

    protected ActivationSource Source { get; }

    /// <summary>Number of training rows, the first of the source.</summary>
    protected long Rows { get; }

    /// <summary>The row order of the cursor's epoch.</summary>
    protected IRowOrder Order { get; private set; }

    /// <summary>The position at which the next batch begins.</summary>
    public RowCursor Cursor { get; private set; }

    /// <summary>Number of skipped rows; any thread may read it.</summary>
    public long Skipped => Interlocked.Read(ref skipped);

    /// <summary>Fills a slot with the next batch.</summary>
    /// <exception cref="SaeException">A row is not finite, or cannot be read.</exception>
    public abstract void Make(Span<byte> slot);

    /// <summary>Receives the number of batches whose steps have started, on the training thread. Rows that only those
    /// batches use may be overwritten.</summary>
    public virtual void Begun(long batches) { }

    /// <summary>Ends a wait in <see cref="Make"/> by an exception; any thread may call it.</summary>
    public virtual void Stop() { }

    /// <summary>Advances the cursor by rows of one epoch.</summary>
    protected void Advance(long rows)
    {
        var position = Cursor.Position + rows;
        if (position < Rows)
        {
            Cursor = Cursor with { Position = position };
            return;
        }
        Cursor = new(Cursor.Epoch + 1, 0);
        Order = RowOrders.Of(config, Cursor.Epoch, Rows, Source.RowBytes);
    }

    protected void Keep() => inARow = 0;

    /// <summary>Skips a row that is not finite.</summary>
    protected void Refuse(long row)
    {
        if (config.NonFinite == NonFiniteRows.Stop)
            throw new SaeException($"{Source.Locate(row)} holds NaN or infinity; repair the data, or leave such rows "
                + "out with NonFinite = Skip");
        Interlocked.Increment(ref skipped);
        if (++inARow >= Rows) throw new SaeException("no row of the data is finite");
    }

    public virtual void Dispose() { }
}
