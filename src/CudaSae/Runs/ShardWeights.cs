using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae.Runs;

/// <summary>Gathers the weights of all ranks on one rank. The weights travel in pieces, directly from the sender's rows
/// to their place, so a rank holds its own rows, and the root also the rows of all latents. All ranks of a run call the
/// same methods at the same points. A backend without a share has all weights already.</summary>
sealed unsafe class ShardWeights : IDisposable
{
    const long PieceBytes = 4 << 20;
    readonly IBackend backend;
    readonly int root;
    readonly SaeParameters own;
    readonly SaeParameters? all;        // null on ranks other than the root

    public ShardWeights(IBackend backend, int root = 0)
    {
        (this.backend, this.root) = (backend, root);
        own = new(OwnLatents.Of(backend.Spec, backend.Shard));
        all = backend.Shard is not { } shard ? own : shard.Rank == root ? new(backend.Spec) : null;
    }

    /// <summary>Returns the current weights; null on ranks other than the root. The next call replaces them.</summary>
    public SaeParameters? Current()
    {
        backend.GetParameters(own);
        return Gathered();
    }

    /// <summary>Returns the moving average of the weights; null on ranks other than the root. The next call replaces
    /// them.</summary>
    public SaeParameters? Average()
    {
        backend.GetAverage(own);
        return Gathered();
    }

    /// <summary>Returns the current weights on one rank, which disposes them; null on the other ranks.</summary>
    public static SaeParameters? Gather(IBackend backend, int root = 0)
    {
        var weights = new ShardWeights(backend, root);
        try
        {
            var all = weights.Current();
            if (!ReferenceEquals(all, weights.own)) weights.own.Dispose();
            return all;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Returns the current weights on all ranks. The caller disposes them.</summary>
    public static SaeParameters GatherToAll(IBackend backend)
    {
        var all = Gather(backend) ?? new SaeParameters(backend.Spec);
        if (backend.Shard is not { } shard) return all;
        try
        {
            Copy(shard.Collective, all.WEnc);
            Copy(shard.Collective, all.WDec);
            Copy(shard.Collective, all.WSkip);
            foreach (var vector in OwnLatents.Vectors(all).Append(all.BDec))
                if (vector.Length > 0) shard.Collective.Broadcast(vector.AsSpan(), 0);
            Span<float> threshold = [all.BatchThreshold];
            shard.Collective.Broadcast(threshold, 0);
            all.BatchThreshold = threshold[0];
            return all;
        }
        catch
        {
            all.Dispose();
            throw;
        }
    }

    static void Copy(ICollective ranks, Matrix matrix) => ForEachPiece((byte*)matrix.Data, matrix.Bytes,
        (at, bytes) => ranks.Broadcast((void*)at, bytes, 0));

    SaeParameters? Gathered()
    {
        if (backend.Shard is not { } shard) return own;
        if (all is not null) CopyOwn(shard, all);
        for (var rank = 0; rank < shard.Ranks; rank++)
            if (rank == root) continue;
            else if (all is not null) Receive(shard, rank, all);
            else if (rank == shard.Rank) Send(shard);
        return all;
    }

    void CopyOwn(ShardPlan shard, SaeParameters into)
    {
        foreach (var (from, to) in Matrices(own).Zip(Matrices(into)))
            for (long row = 0; row < shard.Count; row++) from[row].CopyTo(to[shard.First + row]);
        foreach (var (from, to) in OwnLatents.Vectors(own).Zip(OwnLatents.Vectors(into)))
            if (from.Length > 0) from.CopyTo(to, shard.First);
        own.BDec.CopyTo(into.BDec, 0);
        own.WSkip.CopyTo(into.WSkip);
        into.BatchThreshold = own.BatchThreshold;
    }

    void Send(ShardPlan shard)
    {
        foreach (var matrix in Matrices(own))
            ForEachPiece((byte*)matrix.Data, matrix.Bytes,
                (at, bytes) => shard.Collective.Send((void*)at, bytes, root));
        foreach (var vector in OwnLatents.Vectors(own).Where(vector => vector.Length > 0))
            fixed (float* at = vector)
                ForEachPiece((byte*)at, vector.Length * sizeof(float),
                    (from, bytes) => shard.Collective.Send((void*)from, bytes, root));
    }

    static void Receive(ShardPlan shard, int rank, SaeParameters into)
    {
        var (first, end) = (shard.FirstOf(rank), shard.FirstOf(rank + 1));
        foreach (var matrix in Matrices(into))
            ForEachPiece((byte*)(matrix.Data + (long)first * matrix.Columns),
                (end - first) * (long)matrix.Columns * sizeof(float),
                (at, bytes) => shard.Collective.Receive((void*)at, bytes, rank));
        foreach (var vector in OwnLatents.Vectors(into).Where(vector => vector.Length > 0))
            fixed (float* at = vector)
                ForEachPiece((byte*)(at + first), (end - first) * sizeof(float),
                    (to, bytes) => shard.Collective.Receive((void*)to, bytes, rank));
    }

    static Matrix[] Matrices(SaeParameters p) => [p.WEnc, p.WDec];

    static void ForEachPiece(byte* start, long bytes, Action<nint, long> action)
    {
        for (long offset = 0; offset < bytes; offset += PieceBytes)
            action((nint)(start + offset), Math.Min(PieceBytes, bytes - offset));
    }

    public void Dispose()
    {
        own.Dispose();
        if (!ReferenceEquals(all, own)) all?.Dispose();
    }
}
