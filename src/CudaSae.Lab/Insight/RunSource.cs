using CudaSae.Activations;
using CudaSae.Formats;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Lab.Insight;

/// <summary>An SAE to examine and rows to run it on, which are held-out rows if there are any.</summary>
/// <param name="folder">The folder of the run, or the file or folder of an SAE.</param>
/// <param name="record">The record of the run; null if there is none.</param>
/// <param name="model">Owned.</param>
/// <param name="rows">Rows of a source that is owned.</param>
sealed class RunSource(string folder, RunRecord? record, SaeModel model, RowSlice rows) : IDisposable
{
    public string Folder { get; } = folder;
    public RunRecord? Record { get; } = record;
    public SaeModel Model { get; } = model;
    public RowSlice Rows { get; } = rows;

    public void Dispose()
    {
        Rows.Source.Dispose();
        Model.Dispose();
    }
}
