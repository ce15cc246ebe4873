using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Model;

namespace CudaSae.Feeding;

/// <summary>Batches as lists of places in a device's pool of rows. A pool of all rows is filled once. In a pool of two
/// windows, one half is filled while the steps use rows of the other.</summary>
sealed class PooledBatches : BatchMaker
{
    readonly PoolLoader loader;
    readonly bool whole;
    readonly long[] rows;                   // rows of a batch, if the pool holds all rows
    readonly Queue<long> leaving = []; // counts of started batches at which a finished window may be overwritten
    (long Epoch, long Window) inside = (-1, -1);
    int first;                              // place of the window's first row
    int windowsLeft;                        // windows exhausted while filling the current batch
    long made, begun;

    public PooledBatches(ActivationSource source, long rows, TrainConfig config, RowCursor start, IRowPool pool)
        : base(source, rows, config, start)
    {
        whole = pool.Plan.Whole;
        this.rows = new long[whole ? config.BatchRows : 0];
        loader = new(source, rows, pool, whole ? [PoolFill.Whole(rows)] : Windows(config, start, pool.Plan.Rows / 2),
            whole ? 1 : 2);
    }

    /// <summary>Lists the windows from the cursor's on, alternately in both halves of the pool.</summary>
    IEnumerable<PoolFill> Windows(TrainConfig config, RowCursor start, long half)
    {
        var order = (WindowPermutation)RowOrders.Of(config, start.Epoch, Rows, Source.RowBytes);
        for (long epoch = start.Epoch, window = order.WindowOf(start.Position), place = 0; ; place = half - place)
        {
            yield return PoolFill.Window(order, window, place);
            if (++window < order.Windows) continue;
            window = 0;
            order = (WindowPermutation)RowOrders.Of(config, ++epoch, Rows, Source.RowBytes);
        }
    }

    /// <summary>The loader, which reports the bytes read and its waiting time.</summary>
    public PoolLoader Loader => loader;

    /// <summary>Fills a slot with the places of the next batch.</summary>
    /// <param name="slot">[B] int32.</param>
    public override void Make(Span<byte> slot)
    {
        var list = MemoryMarshal.Cast<byte, int>(slot);
        windowsLeft = 0;
        for (var at = 0; at < list.Length;)
        {
            var count = (int)Math.Min(list.Length - at, whole ? FromAll() : FromWindow(at));
            var part = list.Slice(at, count);
            if (whole) Place(part);
            else
                ((WindowPermutation)Order).Places(inside.Window,
                    Cursor.Position - ((WindowPermutation)Order).Start(inside.Window), first, part);
            at += Close(part);
            Advance(count);
        }
        made++;
    }

    /// <summary>Returns the number of rows before the end of the epoch.</summary>
    long FromAll()
    {
        if (inside.Epoch < 0) loader.Next();
        inside = (0, 0);
        return Rows - Cursor.Position;
    }

    void Place(Span<int> list)
    {
        var numbers = rows.AsSpan(0, list.Length);
        Order.Fill(Cursor.Position, numbers);
        for (var b = 0; b < list.Length; b++) list[b] = (int)numbers[b];
    }

    /// <summary>Moves to the cursor's window and returns the number of rows before its end.</summary>
    /// <param name="taken">Number of rows that the batch already has.</param>
    long FromWindow(int taken)
    {
        var order = (WindowPermutation)Order;
        var window = order.WindowOf(Cursor.Position);
        if (inside != (Cursor.Epoch, window))
        {
            if (inside.Epoch >= 0) Leave(taken);
            first = (int)loader.Next().Place;
            inside = (Cursor.Epoch, window);
        }
        return order.Start(window) + order.Length(window) - Cursor.Position;
    }

    /// <summary>Releases the half of a window that is exhausted.</summary>
    /// <exception cref="SaeException">The batch would need rows of three windows, but the pool holds two.</exception>
    void Leave(int taken)
    {
        if (taken > 0 && ++windowsLeft == 2)
            throw new SaeException("a shuffle window holds less than one batch of finite rows; repair the data, "
                + "or use a larger ShuffleWindow or DevicePool = 0");
        lock (leaving) leaving.Enqueue(taken > 0 ? made + 1 : made);
        Allow();
    }

    public override void Begun(long batches)
    {
        lock (leaving) begun = batches;
        Allow();
    }

    void Allow()
    {
        lock (leaving)
            while (leaving.TryPeek(out var batch) && batch <= begun)
            {
                leaving.Dequeue();
                loader.Allow();
            }
    }

    /// <summary>Removes places of rows that are not finite; returns the number that remain.</summary>
    int Close(Span<int> list)
    {
        var end = 0;
        for (var b = 0; b < list.Length; b++)
        {
            if (loader.IsRefused(list[b]))
            {
                Refuse(Order[Cursor.Position + b]);
                continue;
            }
            Keep();
            list[end++] = list[b];
        }
        return end;
    }

    public override void Stop() => loader.Stop();

    public override void Dispose()
    {
        loader.Dispose();
        base.Dispose();
    }
}
