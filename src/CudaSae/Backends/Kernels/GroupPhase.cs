using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>GroupMax: encode keeps a chunk of columns whole, then the largest value of each group in it is selected
/// (kernels/groups.cu).</summary>
sealed class GroupPhase
{
    const int Block = 128;

    readonly KernelContext context;
    readonly EncodePhase encode;
    readonly DeviceArray<ulong> best;       // [B]
    readonly int size;

    public GroupPhase(KernelContext context, EncodePhase encode)
    {
        (this.context, this.encode) = (context, encode);
        size = context.Spec.Latents / context.Active;
        best = context.Arena.Take<ulong>("best of a group", size > encode.CandidateStride ? context.Rows : 0);
    }

    public void Run()
    {
        var buffers = context.Buffers;
        for (int begin = 0, end; begin < context.Latents; begin = end)
        {
            end = ChunkEnd(begin);
            encode.KeepWhole(begin, end);
            context.Launch("groups", new(context.Rows, Block), new GroupsParams
            {
                Candidates = encode.Candidates.Pointer, Best = best.Pointer, Index = buffers.Index.Pointer,
                Value = buffers.Value.Pointer,
                Stride = encode.CandidateStride, Begin = begin, End = end, Size = size, Active = context.Active,
            });
        }
    }

    /// <summary>Returns the end of a chunk of whole groups that fits; a group that does not fit is divided.</summary>
    int ChunkEnd(int begin)
    {
        var room = encode.CandidateStride;
        return size <= room ? Math.Min(context.Latents, begin + room / size * size)
            : Math.Min(begin + room, (begin / size + 1) * size);
    }
}
