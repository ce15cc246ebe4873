using System.Text.Json;
using System.Xml.Linq;
using CudaSae.Metrics;
using CudaSae.Runs;

namespace CudaSae.Bench.Reference;

/// <summary>docs/reference/metrics.md: the numbers of metrics.jsonl and of an evaluation, from the documentation of
/// their records.</summary>
static class MetricsPage
{
    public static string Text()
    {
        var documentation = XDocument.Load(Path.Combine(AppContext.BaseDirectory, "CudaSae.xml")).Descendants("member")
            .ToDictionary(member => (string)member.Attribute("name")!);
        return $"""
            {ReferencePages.Notice}
            # Metrics

            y is what the decoder predicts: the input x, or the target of a transcoder. x̂ is its reconstruction, and ȳ
            is the mean of y.

            ## A step

            `metrics.jsonl` of a run has one line of JSON for each logged step, and `metrics.csv` has the same columns.
            They are measured on the step's batch, before its update. TensorBoard shows each under the name in the
            second column.

            {Step(documentation)}
            ## An evaluation

            `eval`, the end of `train`, and `outcome.json` of a sweep's member measure an SAE on held-out rows.

            {Evaluation(documentation)}
            """;
    }

    static string Step(Dictionary<string, XElement> documentation)
    {
        var properties = typeof(StepMetrics).GetProperties().ToDictionary(property => Snake(property.Name));
        return ReferencePages.Table(["Field", "TensorBoard", "Meaning"], MetricField.All.Select(field => (string[])
        [
            $"`{field.Name}`", $"`{field.Tag}`",
            Words(documentation[$"P:{typeof(StepMetrics)}.{properties[field.Name].Name}"].Element("summary")!),
        ]));
    }

    static string Evaluation(Dictionary<string, XElement> documentation)
    {
        var record = documentation[$"T:{typeof(Evaluation)}"];
        var parameters = record.Elements("param").ToDictionary(param => (string)param.Attribute("name")!);
        return ReferencePages.Table(["Field", "Meaning"], typeof(Evaluation).GetProperties()
            .Where(property => property.Name != "EqualityContract").Select(property => (string[])
            [
                $"`{Snake(property.Name)}`",
                Words(parameters.GetValueOrDefault(property.Name)
                    ?? documentation[$"P:{typeof(Evaluation)}.{property.Name}"].Element("summary")!),
            ]));
    }

    static string Snake(string name) => JsonNamingPolicy.SnakeCaseLower.ConvertName(name);

    /// <summary>The text of a documentation element on one line. A reference is its last name.</summary>
    static string Words(XElement element) => string.Join(' ', string.Concat(element.Nodes().Select(node => node switch
    {
        XElement { Name.LocalName: "see" } see => $"`{((string)see.Attribute("cref")!).Split('.')[^1]}`",
        XElement { Name.LocalName: "c" } code => $"`{code.Value}`",
        XElement other => other.Value,
        _ => node.ToString().Replace("&lt;", "<").Replace("&gt;", ">").Replace("&amp;", "&"),
    })).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
