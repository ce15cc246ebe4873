using CudaSae.Activations;
using CudaSae.Formats;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Lab.Insight;

/// <summary>What there is to look at: an SAE, and rows that it did not see in training where there are any.</summary>
/// <param name="folder">Of the run, or the file or folder of an SAE.</param>
/// <param name="record">How it was trained; null if there is no record.</param>
/// <param name="model">Owned, like <paramref name="data"/>.</param>
/// <param name="firstRow">First of <paramref name="rows"/> rows of the data.</param>
sealed class RunSource(string folder, RunRecord? record, SaeModel model, ActivationSource data, long firstRow,
    long rows)
    : IDisposable
{
    public string Folder { get; } = folder;
    public RunRecord? Record { get; } = record;
    public SaeModel Model { get; } = model;
    public ActivationSource Data { get; } = data;
    public long FirstRow { get; } = firstRow;
    public long Rows { get; } = rows;

    public void Dispose()
    {
        Data.Dispose();
        Model.Dispose();
    }
}
