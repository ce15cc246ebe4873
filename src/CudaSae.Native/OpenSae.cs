using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Formats;

namespace CudaSae.Native;

/// <summary>A loaded SAE with the codes that its last call left.</summary>
sealed unsafe class OpenSae(Sae sae) : IDisposable, INamed
{
    readonly SparseRows given = new();

    public static string Name => "an SAE";

    public Sae Sae { get; } = sae;
    public SparseRows Codes { get; } = new();

    /// <summary>Takes the model: it is disposed of when the backend cannot have it.</summary>
    public static OpenSae Of(SaeModel model, BackendKind backend, int batchRows)
    {
        try { return new(new Sae(model, backend, batchRows)); }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Codes of the caller's, in CSR, as the engine takes them.</summary>
    public SparseRows Read(long* rowStarts, int* indices, float* values, long rows)
    {
        given.Clear();
        if (rows is < 0 or > int.MaxValue / 2) throw new SaeException($"codes of {rows} rows");
        Arguments.Pointer(rowStarts, "row_starts");
        if (rowStarts[rows] > 0 && (indices is null || values is null))
            throw new SaeException("indices or values is null");
        if (rowStarts[0] != 0) throw new SaeException($"row_starts begins with {rowStarts[0]}; it must be 0");
        for (var b = 0L; b < rows; b++)
        {
            var count = rowStarts[b + 1] - rowStarts[b];
            if (count < 0 || count > Sae.Latents)
                throw new SaeException($"row {b} has {count} entries; 0 to {Sae.Latents} are possible");
            given.Add(new ReadOnlySpan<int>(indices + rowStarts[b], (int)count),
                new ReadOnlySpan<float>(values + rowStarts[b], (int)count));
        }
        return given;
    }

    public void Dispose() => Sae.Dispose();
}

/// <summary>cudasae_sae_info of cudasae.h.</summary>
[StructLayout(LayoutKind.Sequential)]
unsafe struct SaeInfo
{
    public long InputWidth, OutputWidth, Latents, BatchRows;
    public int Normalization, Reserved;
    public fixed byte Description[256];

    public static SaeInfo Of(Sae sae)
    {
        var info = new SaeInfo
        {
            InputWidth = sae.InputWidth, OutputWidth = sae.OutputWidth, Latents = sae.Latents,
            BatchRows = sae.BatchRows, Normalization = (int)sae.Model.Normalization
        };
        Arguments.Copy(sae.Description, new(info.Description, 256));
        return info;
    }
}
