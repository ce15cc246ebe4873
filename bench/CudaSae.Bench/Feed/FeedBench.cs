using CudaSae.Activations;
using CudaSae.Cli;
using CudaSae.Model;

namespace CudaSae.Bench.Feed;

/// <summary>Rows as a GPU gets them: large reads by several threads, looked through for NaN and infinity, into a pool.
/// Uploads are not made: what a bus adds a GPU has to say.</summary>
static class FeedBench
{
    /// <param name="window">Rows of a window; 0 for an eighth of all.</param>
    public static IEnumerable<BenchRow> Run(ActivationSource source, int batchRows, int repeats, int readers,
        long window)
    {
        var batches = source.Rows / batchRows;
        var whole = new TrainConfig { BatchRows = batchRows, Vectors = batches * batchRows };
        var windows = whole with { ShuffleWindow = window > 0 ? window : Math.Max(batchRows, source.Rows / 8) };
        yield return Row("blocks, checked", () => FeedMeter.Read(source, source.Rows, readers, check: true),
            source.Rows / (double)batchRows);
        yield return Row("pool of all rows", () => FeedMeter.Pool(source, source.Rows, whole, readers, batches),
            batches);
        yield return Row($"pool, windows of {windows.ShuffleWindow:N0}",
            () => FeedMeter.Pool(source, source.Rows, windows, readers, batches), batches);

        BenchRow Row(string name, Func<FeedRate> run, double perRun)
        {
            run();      // the first pass brings the files into memory
            return new()
            {
                Bench = "data", Name = name, Shape = new(batchRows, source.Width, 0, 0),
                Bytes = 2.0 * batchRows * source.RowBytes, Tokens = batchRows,
                Time = Timing.Of([.. Enumerable.Range(0, repeats).Select(_ => run().Time.TotalMilliseconds / perRun)]),
                Note = $"{source.Type}, {source.Rows} rows, {readers} readers",
            };
        }
    }
}
