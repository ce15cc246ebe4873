namespace CudaSae.Model;

/// <summary>The code of a batch: k entries per row, the only output of encoding. A value of 0 marks an entry that ReLU
/// removed: its index is a selected latent that did not fire. Entries of one row are in ascending order of
/// index.</summary>
sealed class SparseCode(int rows, int active)
{
    public int Rows { get; } = rows;
    public int Active { get; } = active;
    public int[] Index { get; } = new int[(long)rows * active];        // [B, k]
    public float[] Value { get; } = new float[(long)rows * active];    // [B, k], >= 0
}
