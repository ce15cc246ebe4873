using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Kernels;

/// <summary>Copies results of a step to the host. Each method waits for the step.</summary>
sealed unsafe partial class KernelBackend
{
    public StepSums ReadSums()
    {
        Settle();
        return SumsOf(published - 1);
    }

    public StepSums ReadEarlierSums() => SumsOf(published - 2);

    StepSums SumsOf(long number)
    {
        if (number < 0) return default;
        device.WaitOnHost(sumsReady[number & 1]);
        return sums[number & 1];
    }

    public void ReadCode(SparseCode into)
    {
        if (into.Rows != Config.BatchRows || into.Active != Spec.Active)
            throw new ArgumentException($"code [{into.Rows}, {into.Active}] for a batch [{Config.BatchRows}, "
                + $"{Spec.Active}]");
        if (TookDense)
            throw new SaeException("the last step took the dense path: its code is not a list; set Dense to false "
                + "first");
        if (Shard is null) CopyCode(into.Index, into.Value);
        else
        {
            var (index, value) = (new int[into.Index.Length], new float[into.Value.Length]);
            CopyCode(index, value);
            RankReads.Join(Shard, index, value, into);
        }
    }

    /// <summary>Copies this rank's entries, with the numbers of all latents.</summary>
    void CopyCode(int[] index, float[] value)
    {
        device.Download<int>(index, Buffers.Index.Pointer, stream);
        device.Download<float>(value, Buffers.Value.Pointer, stream);
        for (var e = 0; Shard is not null && e < index.Length; e++) index[e] += Context.First;
        if (Buffers.RowCount.Length == 0) return;
        var counts = Download<int>(Buffers.RowCount.Pointer, Config.BatchRows);
        for (var e = 0; e < index.Length; e++)
            if (e % Spec.Active >= counts[e / Spec.Active]) (index[e], value[e]) = (-1, 0);
    }

    public void ReadReconstruction(Span<float> into)
    {
        int B = Config.BatchRows, d = Spec.OutputWidth, ld = Buffers.Lo;
        using Matrix e = new(B, ld), x = new(B, ld);
        device.CopyToHost(e.Data, Buffers.Residual.Pointer, e.Bytes, Settled);
        device.CopyToHost(x.Data, Buffers.Y.Pointer, x.Bytes, Settled);
        device.Synchronize(Settled);
        for (var b = 0; b < B; b++)
            for (var i = 0; i < d; i++) into[b * d + i] = e[b][i] + x[b][i];
    }

    public void ReadTarget(Span<float> into)
    {
        var d = Spec.OutputWidth;
        using Matrix y = new(Config.BatchRows, Buffers.Lo);
        device.CopyToHost(y.Data, Buffers.Y.Pointer, y.Bytes, Settled);
        device.Synchronize(Settled);
        for (var b = 0; b < Config.BatchRows; b++) y[b][..d].CopyTo(into[(b * d)..]);
    }

    public void ReadRowErrors(Span<float> into) =>
        device.Download(into[..Config.BatchRows], Buffers.RowError.Pointer, Settled);

    public void ReadFirings(Span<int> into)
    {
        if (!TookDense) phases.Latents.CountFirings();
        device.Download(into.Slice(Context.First, Context.Latents), Buffers.Firings.Pointer, Settled);
        if (Shard is not null) RankReads.Join(Shard, into[..Spec.Latents]);
    }

    /// <summary>Returns the first nested reconstruction that contains each entry of the last step's code, [B, k]; waits
    /// for the step.</summary>
    internal byte[] ReadLevels() => Download<byte>(Buffers.Level.Pointer, checked((int)Buffers.Level.Length));

    /// <summary>Returns a copy of device memory; waits for the last step.</summary>
    T[] Download<T>(ulong from, int length) where T : unmanaged
    {
        var host = new T[length];
        device.Download<T>(host, from, Settled);
        return host;
    }
}
