using System.Text.Json;
using CudaSae.Files;
using CudaSae.Lab.Report;

namespace CudaSae.Lab.Downstream;

/// <summary>One number about an SAE in its network.</summary>
/// <param name="Group">SAEBench's group of metrics, or one beside them.</param>
/// <param name="Name">SAEBench's name where it has the number.</param>
/// <param name="Formula">How it is computed; N kept tokens, x their activations, x̂ what the SAE makes of them, f its
/// code.</param>
/// <param name="Value">NaN where it is undefined, as a share of the variance of rows that are all equal; null in
/// JSON.</param>
sealed record Metric(string Group, string Name, double Value, string Formula);

/// <summary>What an SAE does to the network that it is spliced into.</summary>
/// <param name="Sae">Its file or folder.</param>
/// <param name="Kind">Its selection, as topk.</param>
/// <param name="Figures">What there is to look at beside the metrics.</param>
sealed record DownstreamResult(string Model, string Site, string Sae, string Kind, IReadOnlyList<Metric> Metrics,
    IReadOnlyList<Figure> Figures)
{
    /// <summary>The metric of that name.</summary>
    public double this[string name] => Metrics.First(m => m.Name == name).Value;

    /// <summary>The share of what ablation destroys that the SAE keeps: ce_loss_score, or of a sentence encoder the
    /// cosine's.</summary>
    public Metric Score => Metrics.First(m => m.Name is "ce_loss_score" or "embedding_cosine_score");

    /// <summary>Writes results as JSON: of each its groups, and in them the metrics by name; what is not finite is
    /// null.</summary>
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
