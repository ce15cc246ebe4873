using System.Reflection;
using System.Text.Json;
using CudaSae.Metrics;
using CudaSae.Runs;

namespace CudaSae.Bench.Reference;

/// <summary>docs/reference/metrics.md: the numbers of metrics.jsonl and of an evaluation, from the documentation of
/// their records.</summary>
static class MetricsPage
{
    public static string Text(XmlDocs docs) =>
        $"""
        {ReferencePages.Notice}
        # Metrics

        y is what the decoder predicts: the input x, or the target of a transcoder. x̂ is its reconstruction, and ȳ
        is the mean of y. e = x̂ − y is the residual, and ê is the dead latents' reconstruction of −e.

        ## A step

        `metrics.jsonl` of a run has one line of JSON for each logged step, and `metrics.csv` has the same columns.
        They are measured on the step's batch, before its update. TensorBoard shows each under the name in the
        second column.

        {Step(docs)}
        ## An evaluation

        `eval`, the end of `train`, and `outcome.json` of a sweep's member measure an SAE on held-out rows.

        {Evaluation(docs)}
        """;

    static string Step(XmlDocs docs)
    {
        var properties = typeof(StepMetrics).GetProperties().ToDictionary(property => Snake(property.Name));
        return ReferencePages.Table(["Field", "TensorBoard", "Meaning"], MetricField.All.Select(field => (string[])
            [$"`{field.Name}`", $"`{field.Tag}`", docs.Summary(properties[field.Name])]));
    }

    static string Evaluation(XmlDocs docs)
    {
        var parameters = docs.Parameters(typeof(Evaluation));
        string Meaning(PropertyInfo property) => parameters.GetValueOrDefault(property.Name) ?? docs.Summary(property);
        return ReferencePages.Table(["Field", "Meaning"], typeof(Evaluation).GetProperties()
            .Where(property => property.Name != "EqualityContract")
            .Select(property => (string[])[$"`{Snake(property.Name)}`", Meaning(property)]));
    }

    static string Snake(string name) => JsonNamingPolicy.SnakeCaseLower.ConvertName(name);
}
