using System.Text.Json;
using CudaSae.Files;
using CudaSae.Lab.Report;

namespace CudaSae.Lab.Downstream;

/// <summary>A metric of an SAE in its network.</summary>
/// <param name="Group">SAEBench's group of metrics, or an additional group.</param>
/// <param name="Name">SAEBench's name if it has the metric.</param>
/// <param name="Formula">How it is computed: N is the number of kept tokens, x their activations, x̂ the SAE's
/// reconstruction, f its code.</param>
/// <param name="Value">NaN if it is undefined, for example a share of the variance of rows that are all equal. NaN is
/// null in JSON.</param>
sealed record Metric(string Group, string Name, double Value, string Formula);

/// <summary>The result for an SAE that is spliced into a network.</summary>
/// <param name="Sae">The file or folder of the SAE.</param>
/// <param name="Kind">The selection, for example topk.</param>
/// <param name="Figures">The figures, which include the metrics.</param>
sealed record DownstreamResult(string Model, string Site, string Sae, string Kind, IReadOnlyList<Metric> Metrics,
    IReadOnlyList<Figure> Figures)
{
    /// <summary>The value of a metric by its name.</summary>
    public double this[string name] => Metrics.First(m => m.Name == name).Value;

    /// <summary>The share of the ablation's loss that the SAE recovers: ce_loss_score, or for a sentence encoder
    /// embedding_cosine_score.</summary>
    public Metric Score => Metrics.First(m => m.Name is "ce_loss_score" or "embedding_cosine_score");

    /// <summary>Writes results as JSON. Each result has its groups, and each group its metrics by name. Numbers that
    /// are not finite are null.</summary>
    /// <exception cref="SaeException">The folder cannot be written or the disk is full.</exception>
    public static void Write(string path, IEnumerable<DownstreamResult> results) => AtomicFile.Write(path, stream =>
    {
        using var json = new Utf8JsonWriter(stream,
            new() { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartArray();
        foreach (var result in results)
        {
            json.WriteStartObject();
            foreach (var (name, text) in (ReadOnlySpan<(string, string)>)[("model", result.Model),
                ("site", result.Site), ("sae", result.Sae), ("kind", result.Kind)])
                json.WriteString(name, text);
            foreach (var group in result.Metrics.GroupBy(m => m.Group))
            {
                json.WriteStartObject(group.Key);
                foreach (var metric in group)
                    if (double.IsFinite(metric.Value)) json.WriteNumber(metric.Name, metric.Value);
                    else json.WriteNull(metric.Name);
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        json.WriteEndArray();
    });
}
