using CudaSae.Activations;
using CudaSae.Model;

namespace CudaSae.Feeding;

/// <summary>Fills one batch after another with an epoch's rows in order, then with the next epoch's, leaving out those
/// that are not finite. One thread at a time.</summary>
abstract class BatchMaker : IDisposable
{
    readonly TrainConfig config;
    long skipped, inARow;

    protected BatchMaker(ActivationSource source, long rows, TrainConfig config, RowCursor start)
    {
        if (config.NonFinite == NonFiniteRows.Replace)
            throw new SaeException("NonFinite = Replace is for SaeTrainer, whose batches have a fixed size; a run that "
                + "reads data leaves rows out with Skip");
        (Source, Rows, this.config, Cursor) = (source, rows, config, start);
        Order = RowOrders.Of(config, start.Epoch, rows, source.RowBytes);
    }

    protected ActivationSource Source { get; }

    /// <summary>Training rows: the first ones of the source.</summary>
    protected long Rows { get; }

    /// <summary>Of the cursor's epoch.</summary>
    protected IRowOrder Order { get; private set; }

    /// <summary>Where the next batch begins.</summary>
    public RowCursor Cursor { get; private set; }

    /// <summary>Rows left out; any thread may ask.</summary>
    public long Skipped => Interlocked.Read(ref skipped);

    /// <summary>Fills a slot with the next batch.</summary>
    /// <exception cref="SaeException">A row is not finite, or cannot be read.</exception>
    public abstract void Make(Span<byte> slot);

    /// <summary>Told, on the thread that trains, how many batches' steps have begun: what only they read may be written
    /// over.</summary>
    public virtual void Begun(long batches) { }

    /// <summary>Ends a wait inside <see cref="Make"/>, by an exception; from any thread.</summary>
    public virtual void Stop() { }

    /// <summary>Moves the cursor by rows of one epoch.</summary>
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

    /// <summary>Leaves a row out that is not finite.</summary>
    protected void Refuse(long row)
    {
        if (config.NonFinite == NonFiniteRows.Stop)
            throw new SaeException($"{Source.Locate(row)} holds NaN or infinity; mend it, or leave such rows out with "
                + "--non-finite skip");
        Interlocked.Increment(ref skipped);
        if (++inARow >= Rows) throw new SaeException("no row of the data is finite");
    }

    public virtual void Dispose() { }
}
