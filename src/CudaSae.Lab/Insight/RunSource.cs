using CudaSae.Activations;
using CudaSae.Formats;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Lab.Insight;

/// <summary>An SAE to examine and rows to run it on, which are held-out rows if there are any.</summary>
/// <param name="folder">The folder of the run, or the file or folder of an SAE.</param>
/// <param name="record">The record of the run; null if there is none.</param>
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
