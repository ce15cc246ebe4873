using CudaSae.Activations;
using CudaSae.Cli;
using CudaSae.Model;

namespace CudaSae.Bench.Feed;

/// <summary>Measures the input path of a GPU: several threads read large blocks, check them for NaN and infinity, and
/// fill a pool. It makes no uploads, so the cost of a bus is not included.</summary>
static class FeedBench
{
    /// <param name="window">Rows of a window; 0 for one eighth of all rows.</param>
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
            run();      // the first pass brings the files into the page cache
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
