using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>BatchTopK: it reduces the entries of all rows to the B·k largest of the batch, or to those above the
/// running threshold (kernels/batch.cu).</summary>
sealed class BatchPhase
{
    const int Block = 256, PerBlock = 16 * Block, Bins = 2048, BitsPerPass = 11, KeyBits = 63;

    readonly KernelContext context;
    readonly EncodePhase encode;
    readonly Selection.BatchTopK batch;
    readonly DeviceArray<int> histogram, left;
    readonly DeviceArray<ulong> cutoff;
    readonly DeviceArray<uint> smallest;
    readonly DeviceArray<int> place;

    /// <param name="place">[B, C] numbers of the entries among those of all ranks; empty for one process.</param>
    public BatchPhase(KernelContext context, EncodePhase encode, DeviceArray<int> place)
    {
        this.place = place;
        (this.context, this.encode, batch) = (context, encode, (Selection.BatchTopK)context.Spec.Selection);
        histogram = context.Arena.Take<int>("batch histogram", Bins);
        left = context.Arena.Take<int>("batch keys left", 1);
        cutoff = context.Arena.Take<ulong>("batch cutoff", 1);
        smallest = context.Arena.Take<uint>("batch smallest kept", 1);
        Threshold = context.Arena.Take<float>("batch threshold", 1);
    }

    /// <summary>The running threshold, [1].</summary>
    public DeviceArray<float> Threshold { get; }

    /// <summary>Clears the values of Value that are not kept. Adds to the encoder's overflows the rows whose capacity
    /// may have excluded positive values.</summary>
    public void Run()
    {
        var parameters = Parameters();
        var blocks = context.Blocks((long)context.Rows * context.Active, PerBlock);
        context.Launch("batch_start", new((context.Rows + 7) / 8, Block), parameters);
        for (var top = KeyBits; top > 0; top = parameters.Shift)
        {
            parameters.Bits = Math.Min(BitsPerPass, top);
            parameters.Shift = top - parameters.Bits;
            context.Launch("batch_histogram", new(blocks, Block, SharedMemory.BatchHistogram), parameters);
            context.Ranks?.Sum(histogram);
            context.Launch("batch_pick", new(1, Block, SharedMemory.BatchPick), parameters);
        }
        context.Launch("batch_apply", new(blocks, Block), parameters);
        context.Ranks?.Min(smallest);
    }

    /// <summary>Moves the running threshold toward the smallest kept value of this step. It runs once per training
    /// step.</summary>
    public void MoveThreshold() => context.Launch("batch_threshold", new(1, 32), Parameters());

    BatchParams Parameters() => new()
    {
        Scalars = context.Buffers.Scalars.Pointer, Value = context.Buffers.Value.Pointer, Place = place.Pointer,
        Histogram = histogram.Pointer,
        Cutoff = cutoff.Pointer, Left = left.Pointer,
        Smallest = smallest.Pointer, Threshold = Threshold.Pointer, Overflows = encode.Overflows.Pointer,
        Sums = context.Buffers.Sums.Pointer,
        Rows = context.Rows, Active = context.Active, Want = checked(context.Rows * batch.K),
        Whole = context.Ranks is not null || context.Active == context.Latents ? 1 : 0, Decay = batch.ThresholdDecay,
    };
}
