using System.Runtime.InteropServices;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae;

// One batch. The backend computes it, or the CPU does if a row exceeds the backend's capacity.
public sealed partial class Sae
{
    int RowsOf(ReadOnlySpan<float> x) =>
        x.Length % InputWidth == 0 ? x.Length / InputWidth
            : throw new SaeException($"{x.Length} numbers are not whole rows of {InputWidth}");

    /// <summary>Computes one batch with the backend, or on the CPU if a row exceeds the backend's capacity.</summary>
    void Forward(ReadOnlySpan<float> x, int first, SparseRows codes, Span<float> reconstruction)
    {
        var count = Math.Min(config.BatchRows, x.Length / InputWidth - first);
        x = x.Slice(first * InputWidth, count * InputWidth);
        if (!reconstruction.IsEmpty) reconstruction = reconstruction.Slice(first * OutputWidth, count * OutputWidth);
        if (!isLong && backend is not null)
        {
            Fill(x, first);
            step!.Evaluate(0, scalars);
            if (backend.ReadSums().Dense == 0)
            {
                Collect(count, codes);
                if (!reconstruction.IsEmpty) CollectReconstruction(reconstruction);
                return;
            }
        }
        var prepared = Buffer(ref input, InputWidth);
        for (var b = 0; b < count; b++)
            Prepare(x.Slice(b * InputWidth, InputWidth), prepared.Slice(b * InputWidth, InputWidth), b, first);
        EncodeWhole(prepared[..x.Length], codes, reconstruction);
    }

    /// <summary>Encodes prepared rows with all their active latents on the CPU.</summary>
    void EncodeWhole(ReadOnlySpan<float> x, SparseRows codes, Span<float> reconstruction)
    {
        var rows = x.Length / InputWidth;
        isLong = false;
        for (var from = 0; from < rows; from += Whole.Rows)
        {
            var count = Math.Min(Whole.Rows, rows - from);
            var part = x.Slice(from * InputWidth, count * InputWidth);
            Whole.Encode(part);
            for (var b = 0; b < count; b++) isLong |= Whole.AddTo(codes, b, undo[from + b]) > SaeSpec.MaxActive;
            if (reconstruction.IsEmpty) continue;
            var to = reconstruction.Slice(from * OutputWidth, count * OutputWidth);
            Whole.Decode(part, to);
            for (var b = 0; b < count; b++) Undo(to.Slice(b * OutputWidth, OutputWidth), undo[from + b]);
        }
    }

    void Collect(int count, SparseRows codes)
    {
        backend!.ReadCode(code!);
        for (var b = 0; b < count; b++)
        {
            codes.BeginRow(undo[b].Scale, undo[b].Shift);
            for (var entry = b * code!.Active; entry < (b + 1) * code.Active; entry++)
                if (code.Value[entry] != 0) codes.Add(code.Index[entry], code.Value[entry]);
        }
    }

    /// <summary>Copies out the reconstruction of the last batch.</summary>
    /// <param name="into">[rows of the batch, d_out].</param>
    void CollectReconstruction(Span<float> into)
    {
        backend!.ReadReconstruction(Buffer(ref xhat, OutputWidth));
        xhat.AsSpan(0, into.Length).CopyTo(into);
        for (var b = 0; b < into.Length / OutputWidth; b++) Undo(into.Slice(b * OutputWidth, OutputWidth), undo[b]);
    }

    /// <summary>Copies rows to the backend's slot and normalizes them. A short batch is padded with its first
    /// row.</summary>
    void Fill(ReadOnlySpan<float> x, int first)
    {
        backend!.WaitForSlot(0);
        var slot = MemoryMarshal.Cast<byte, float>(backend.InputSlot(0));
        var stride = Spec.RowWidth;      // a transcoder's target follows its input and is not available here
        for (var b = 0; b < config.BatchRows; b++)
        {
            var at = b * InputWidth < x.Length ? b : 0;
            Prepare(x.Slice(at * InputWidth, InputWidth), slot.Slice(b * stride, InputWidth), b, first);
            slot.Slice(b * stride + InputWidth, stride - InputWidth).Clear();
        }
    }

    /// <summary>Prepares row <paramref name="b"/> of the batch that begins with row <paramref name="first"/>.</summary>
    void Prepare(ReadOnlySpan<float> row, Span<float> into, int b, int first)
    {
        if (!Finite.All(MemoryMarshal.AsBytes(row), InputType.Float32))
            throw new SaeException($"row {first + b} holds NaN or infinity; remove it", kind: SaeErrorKind.Numbers);
        row.CopyTo(into);
        undo[b] = RowNormalization.Apply(Model.Normalization, into);
    }

    Span<float> Buffer(ref float[] held, int width) =>
        held.Length > 0 ? held : held = new float[config.BatchRows * width];

    static void Undo(Span<float> row, (float Scale, float Shift) by)
    {
        if (by != (1, 0)) foreach (ref var x in row) x = x * by.Scale + by.Shift;
    }
}
