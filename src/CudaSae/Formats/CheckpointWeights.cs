using System.Runtime.InteropServices;
using CudaSae.Backends.Kernels;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Formats;

/// <summary>Reads the weights among a checkpoint's arrays, as either backend writes them. Rows are padded at their
/// ends, matrices are in float32 (CPU) or in two halves of 16 bits (kernels), and θ has the form that the optimizer
/// updates.</summary>
sealed class CheckpointWeights(TensorFile file, SaeSpec spec)
{
    readonly bool split = file.Tensors.ContainsKey("w_enc_hi");

    /// <summary>Reads the weights.</summary>
    /// <exception cref="SaeException">An array is missing or has another shape.</exception>
    public SaeParameters Read()
    {
        // Shapes are checked before memory of their size is allocated.
        RequireMatrix(split ? "w_enc_hi" : "w_enc", spec.Latents, spec.InputWidth);
        RequireMatrix(split ? "w_dec_hi" : "w_dec", spec.Latents, spec.OutputWidth);
        var skip = spec.Transcoder is { Skip: true }
            ? RequireMatrix("w_skip", spec.OutputWidth, spec.InputWidth, "F32")
            : null;
        var p = new SaeParameters(spec);
        try
        {
            ReadMatrix("w_enc", p.WEnc);
            ReadMatrix("w_dec", p.WDec);
            if (skip is not null) ReadRows(skip, p.WSkip);
            ReadVectors(p);
            return p;
        }
        catch
        {
            p.Dispose();
            throw;
        }
    }

    void ReadVectors(SaeParameters p)
    {
        ReadVector("b_enc", p.BEnc);
        ReadVector("b_dec", p.BDec);
        ReadVector("b_mag", p.BMag);
        if (file.Tensors.ContainsKey("r_mag")) ReadVector("r_mag", p.RMag);      // 0 if it is not learned
        ReadVector("tie_scale", p.Scale);
        ReadVector("threshold", p.Threshold);
        if (spec.Selection is Selection.JumpRelu { Form: not ThresholdForm.Direct })
            for (var f = 0; f < p.Threshold.Length; f++) p.Threshold[f] = MathF.Exp(p.Threshold[f]);
        if (spec.Selection is not Selection.BatchTopK) return;
        var batch = new float[1];
        ReadVector("batch_threshold", batch);
        p.BatchThreshold = batch[0];
    }

    StoredTensor RequireMatrix(string name, long rows, long columns, string? type = null)
    {
        var tensor = file.Require(name, type ?? (split ? "BF16" : "F32"), rows, -1);
        return tensor.Shape[1] >= columns
            ? tensor
            : throw file.Bad($"tensor {name} has {tensor.Shape[1]} columns, {columns} were expected");
    }

    void ReadMatrix(string name, Matrix into)
    {
        if (!split)
        {
            ReadRows(file.Tensors[name], into);
            return;
        }
        var high = file.Tensors[name + "_hi"];
        var low = file.Tensors.ContainsKey(name + "_lo") ? file.Require(name + "_lo", "I16", high.Shape) : null;
        ReadHalves(high, low, into);
    }

    void ReadRows(StoredTensor tensor, Matrix into)
    {
        for (var row = 0L; row < into.Rows; row++)
            file.Read(tensor, row * tensor.Shape[1] * sizeof(float), MemoryMarshal.AsBytes(into[row]));
    }

    /// <summary>Reads a matrix in two halves.</summary>
    /// <param name="upper">The upper halves.</param>
    /// <param name="lower">The lower halves; null if the weights are bfloat16.</param>
    /// <param name="into">Receives the matrix.</param>
    void ReadHalves(StoredTensor upper, StoredTensor? lower, Matrix into)
    {
        var high = new ushort[into.Columns];
        var low = new short[into.Columns];
        for (var row = 0L; row < into.Rows; row++)
        {
            var offset = row * upper.Shape[1] * sizeof(ushort);
            file.Read(upper, offset, MemoryMarshal.AsBytes(high.AsSpan()));
            if (lower is not null) file.Read(lower, offset, MemoryMarshal.AsBytes(low.AsSpan()));
            for (var i = 0; i < high.Length; i++) into[row][i] = SplitFloat.Join(high[i], low[i]);
        }
    }

    void ReadVector(string name, float[] into)
    {
        if (into.Length == 0) return;
        var tensor = file.Require(name, "F32", -1);
        if (tensor.Shape[0] < into.Length)
            throw file.Bad($"tensor {name} has {tensor.Shape[0]} numbers, {into.Length} were expected");
        file.Read(tensor, 0, MemoryMarshal.AsBytes(into.AsSpan()));
    }
}
