using System.Globalization;
using System.Text.Json.Nodes;
using CsvHelper;
using CudaSae.Files;

namespace CudaSae.Bench.Scale;

/// <summary>Predicted steps as CSV and JSON. The names of the columns have the units.</summary>
static class ScaleColumns
{
    static readonly (string Name, Func<ScaleModel, double> Of)[] Columns =
    [
        ("rows", m => m.Shape.Rows), ("width", m => m.Shape.Width), ("latents", m => m.Shape.Latents),
        ("active", m => m.Shape.Active), ("gpus", m => m.Ranks), ("latents_a_gpu", m => m.Latents),
        ("state_bytes", m => m.StateBytes), ("nvlink_bytes", m => m.NvlinkBytes),
        ("network_bytes", m => m.NetworkBytes), ("encode_ms", m => m.EncodeMs()), ("update_ms", m => m.UpdateMs),
        ("gather_ms", m => m.GatherMs), ("row_ms", m => m.RowMs), ("exchange_ms", m => m.ExchangeMs),
        ("bias_ms", m => m.BiasMs), ("latency_ms", m => m.LatencyMs), ("serial_ms", m => m.SerialMs),
        ("overlapped_ms", m => m.OverlappedMs), ("serial_efficiency", m => m.Efficiency(m.SerialMs)),
        ("overlapped_efficiency", m => m.Efficiency(m.OverlappedMs)),
    ];

    public static void WriteCsv(string path, IEnumerable<ScaleModel> models) => AtomicFile.Write(path, stream =>
    {
        using var text = new StreamWriter(stream, leaveOpen: true);
        using var csv = CsvWriter.Create(text, new CsvWriterOptions { NewLine = "\n" });
        foreach (var column in Columns) csv.WriteField(column.Name);
        csv.EndRecord();
        foreach (var model in models)
        {
            foreach (var column in Columns)
                csv.WriteField(column.Of(model).ToString("G7", CultureInfo.InvariantCulture));
            csv.EndRecord();
        }
        csv.Flush();
    });

    /// <summary>Returns one line: an array with an object for each step.</summary>
    public static string Json(IEnumerable<ScaleModel> models) => new JsonArray([.. models.Select(model =>
        new JsonObject(Columns.Select(column => KeyValuePair.Create(column.Name, (JsonNode?)column.Of(model)))))])
        .ToJsonString();
}
