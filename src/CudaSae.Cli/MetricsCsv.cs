using CsvHelper;
using CudaSae.Metrics;

namespace CudaSae.Cli;

/// <summary>The metrics as CSV, one line a report, appended.</summary>
sealed class MetricsCsv : IDisposable
{
    static readonly string[] Header = ["step", "vectors", "loss", "fvu", "l0", "dead_percent", "aux_loss", "sparsity", "gate_loss", "coefficient", "shrinkage", "gradient_norm",
        "learning_rate", "rows_per_second", "encode_gflops", "percent_of_limit", "overflows", "dense", "dense_difference"];

    readonly StreamWriter text;
    readonly CsvWriter csv;

    public MetricsCsv(string path)
    {
        var fresh = !File.Exists(path);
        text = new(path, append: true);
        csv = CsvWriter.Create(text);
        if (!fresh) return;
        foreach (var name in Header) csv.WriteField(name);
        csv.EndRecord();
    }

    public void Write(StepMetrics m)
    {
        csv.WriteField(m.Step);
        csv.WriteField(m.Vectors);
        foreach (var value in (ReadOnlySpan<double>)[m.Loss, m.Fvu, m.L0, m.DeadPercent, m.AuxLoss, m.Sparsity, m.GateLoss, m.Coefficient, m.Shrinkage, m.GradientNorm, m.LearningRate, m.RowsPerSecond, m.EncodeGflops])
            csv.WriteField(value);
        csv.WriteField(m.PercentOfLimit);
        csv.WriteField(m.Overflows);
        csv.WriteField(m.Dense ? 1 : 0);
        csv.WriteField(m.DenseDifference);
        csv.EndRecord();
        csv.Flush();
        text.Flush();
    }

    public void Dispose()
    {
        csv.Dispose();
        text.Dispose();
    }
}
