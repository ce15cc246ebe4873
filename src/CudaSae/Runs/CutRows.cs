using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Model;

namespace CudaSae.Runs;

/// <summary>Restores rows of a BatchTopK code that fill the capacity of training, so that entries may be missing.
/// Evaluation computes such rows whole, on the CPU, from a copy of the weights that is made when the first such row
/// is found; on several ranks every rank then holds all weights.</summary>
sealed class CutRows : IDisposable
{
    readonly IBackend backend;
    readonly SparseCode code;
    readonly float[] raw;
    SaeParameters? weights;
    WholeRows? whole;
    float[] x = [], xhat = [];

    CutRows(IBackend backend, SaeSpec spec) =>
        (this.backend, code, raw) = (backend, new(backend.Config.BatchRows, spec.Active), new float[spec.RowWidth]);

    /// <returns>Null if no row is cut: the other selections have no bound, or give k entries to each row.</returns>
    public static CutRows? Of(IBackend backend) =>
        backend.Spec is { Selection: Selection.BatchTopK } spec && spec.Active < spec.Latents
            ? new(backend, spec) : null;

    /// <summary>Replaces the reconstructions and firings of cut rows by those of whole rows, after an evaluation
    /// step.</summary>
    /// <param name="numbers">Numbers, in the source, of the rows that the batch begins with.</param>
    /// <param name="reconstruction">[B, d_out] as the step left it.</param>
    public void Restore(
        ActivationSource source, ReadOnlySpan<long> numbers, double scale, Span<float> reconstruction,
        EvaluationTotals total)
    {
        backend.ReadCode(code);
        int[] full = [.. Enumerable.Range(0, numbers.Length).Where(IsFull)];
        if (full.Length == 0) return;
        Open();
        var (d, width) = (backend.Spec.InputWidth, backend.Spec.OutputWidth);
        foreach (var group in full.Chunk(whole!.Rows))
        {
            for (var i = 0; i < group.Length; i++)
            {
                source.ReadRow(numbers[group[i]], raw);
                for (var j = 0; j < d; j++) x[i * d + j] = raw[j] * (float)scale;
            }
            whole.Encode(x.AsSpan(0, group.Length * d));
            whole.Decode(x, xhat);
            for (var i = 0; i < group.Length; i++)
            {
                xhat.AsSpan(i * width, width).CopyTo(reconstruction[(group[i] * width)..]);
                total.AddRest(whole.Code(i), code.Active);
            }
        }
    }

    bool IsFull(int b) => !code.Value.AsSpan(b * code.Active, code.Active).Contains(0);

    void Open()
    {
        if (whole is not null) return;
        weights = ShardWeights.GatherToAll(backend);
        whole = new(backend.Spec, weights);
        (x, xhat) = (new float[whole.Rows * backend.Spec.InputWidth], new float[whole.Rows * backend.Spec.OutputWidth]);
    }

    public void Dispose()
    {
        whole?.Dispose();
        weights?.Dispose();
    }
}
