using CudaSae.Cli;

namespace CudaSae.Bench.Plots;

/// <summary>The pictures of a table: steps over n, B, d and k beside their floors, memory beside its plan, and the
/// roofline of the phases.</summary>
static class BenchPlots
{
    const string Blue = "#1d5fbf", Orange = "#d2601a", Green = "#2c8a4b", Grey = "#7b8496";

    static readonly Dictionary<string, (string Title, string XTitle, Func<BenchShape, double> Of)> Axes = new()
    {
        ["n"] = ("A step over the dictionary's width", "n, latents", s => s.Latents),
        ["B"] = ("A step over the batch", "B, rows", s => s.Rows),
        ["d"] = ("A step over the input's width", "d", s => s.Width),
        ["k"] = ("A step over the code's length", "k, active latents a row", s => s.Active),
    };

    /// <summary>What there is to draw, by file name without its end.</summary>
    public static IEnumerable<(string Name, SvgChart Chart)> Of(IReadOnlyList<(BenchMachine Machine, BenchRow Row)> rows)
    {
        var timed = rows.Where(one => one.Row.Time is not null).ToArray();
        foreach (var axis in timed.Where(one => one.Row.Bench == "sweep").GroupBy(one => one.Row.Name.Split('/')[0]))
        {
            yield return ($"scaling-{axis.Key}",
                Steps(axis.Key, [.. axis.Where(one => one.Row.Name.EndsWith("/step", StringComparison.Ordinal))]));
            if (axis.Key != "n") continue;
            yield return ("scaling-phases", Phases([.. axis]));
            yield return ("scaling-memory", Memory([.. axis.Where(one => one.Row.Memory is not null)]));
        }
        var phases = timed.Where(one => one.Row.Bench is "kernels" or "step" && one.Row.Name != "step"
            && one.Row.Flops > 0 && one.Machine.Ceilings is not null)
            .ToArray();
        if (phases.Length > 0) yield return ("roofline", Roofline(phases));
    }

    static SvgChart Steps(string axis, (BenchMachine Machine, BenchRow Row)[] rows)
    {
        var (title, x, of) = Axes[axis];
        return new(title, Under(rows[0].Machine, Without(rows[0].Row.Shape, axis)), x, "milliseconds a step",
        [
            new("the least it could take", Grey,
                [.. rows.Where(one => one.Row.FloorMs is not null)
                    .Select(one => new ChartPoint(of(one.Row.Shape), one.Row.FloorMs!.Value))],
                Dashed: true),
            new("measured: median, range, share of that rate", Blue,
                [.. rows.Select(one => new ChartPoint(of(one.Row.Shape), one.Row.Time!.Value.Median,
                    one.Row.Time.Value.Min, one.Row.Time.Value.Max,
                    one.Row.PercentOfCeiling is { } percent ? $"{percent:0} %" : ""))]),
        ], [.. rows.Select(one => of(one.Row.Shape))]);
    }

    static SvgChart Phases((BenchMachine Machine, BenchRow Row)[] rows)
    {
        var series = new List<ChartSeries>();
        foreach (var (phase, color) in new[] { ("encode", Blue), ("decode", Orange), ("optimize", Green) })
        {
            var own = rows.Where(one => one.Row.Name == $"n/{phase}").ToArray();
            series.Add(new(phase, color,
                [.. own.Select(one => new ChartPoint(one.Row.Shape.Latents, one.Row.Time!.Value.Median,
                    Text: one.Row.PercentOfCeiling is { } percent ? $"{percent:0} %" : ""))]));
            series.Add(new("floor", color,
                [.. own.Where(one => one.Row.FloorMs is not null)
                    .Select(one => new ChartPoint(one.Row.Shape.Latents, one.Row.FloorMs!.Value))],
                Dashed: true));
        }
        return new("The step's large phases over the dictionary's width",
            Under(rows[0].Machine, Without(rows[0].Row.Shape, "n")), "n, latents", "milliseconds, median", series,
            Ticks(rows));
    }

    static SvgChart Memory((BenchMachine Machine, BenchRow Row)[] rows) =>
        new("Memory over the dictionary's width", Under(rows[0].Machine, Without(rows[0].Row.Shape, "n")), "n, latents",
            "MiB",
    [
        new("planned before anything is taken", Grey,
            [.. rows.Select(one => new ChartPoint(one.Row.Shape.Latents, one.Row.Memory!.Value.Planned / 1048576.0))],
            Dashed: true),
        new("taken, and its share of the plan", Blue,
            [.. rows.Select(one => new ChartPoint(one.Row.Shape.Latents, one.Row.Memory!.Value.Taken / 1048576.0,
                Text: $"{100.0 * one.Row.Memory.Value.Taken / one.Row.Memory.Value.Planned:0} %"))]),
    ], Ticks(rows));

    static double[] Ticks((BenchMachine, BenchRow Row)[] rows) =>
        [.. rows.Select(one => (double)one.Row.Shape.Latents).Distinct().Order()];

    /// <summary>Rates over intensity, under the best ceilings that were measured beside the rows.</summary>
    static SvgChart Roofline((BenchMachine Machine, BenchRow Row)[] rows)
    {
        var (gemm, copy) = (rows.Max(one => one.Machine.Ceilings!.Value.GemmGflops),
            rows.Max(one => one.Machine.Ceilings!.Value.CopyGigabytes));
        string[] colors = [Blue, Orange, Green];
        double lowest = rows.Min(one => one.Row.Flops / one.Row.Bytes) / 1.6, ridge = gemm / copy,
            highest = Math.Max(4 * ridge, rows.Max(one => one.Row.Flops / one.Row.Bytes) * 1.6);
        List<ChartSeries> series = [new($"{copy:0} GB/s copied, {gemm / 1e3:0.00} TFLOP/s in a product", Grey,
            [new(lowest, lowest * copy), new(ridge, gemm), new(highest, gemm)], Dashed: true)];
        foreach (var (i, shape) in rows.GroupBy(one => one.Row.Shape with { Dead = 0 }).Take(colors.Length).Index())
            series.Add(new(Of(shape.Key), colors[i],
                [.. shape.Select((one, at) =>
                    new ChartPoint(one.Row.Flops / one.Row.Bytes, one.Row.Flops / one.Row.Time!.Value.Median / 1e6,
                        Text: i == 0 ? one.Row.Name : "", Side: at % 2 == 0 ? 1 : -1))],
                Joined: false));
        return new("Roofline of the step's phases",
            Under(rows[0].Machine,
                $"the first {Math.Min(colors.Length, rows.Select(one => one.Row.Shape).Distinct().Count())} shapes, "
                    + "rates by counted work"),
            "operations for each byte", "GFLOP/s", series, []);
    }

    static string Of(BenchShape s) => $"B {s.Rows}, d {s.Width}, n {s.Latents}, k {s.Active}";

    static string Without(BenchShape s, string axis) =>
        string.Join(", ",
            new[] { ("B", s.Rows), ("d", s.Width), ("n", s.Latents), ("k", s.Active) }.Where(one => one.Item1 != axis)
                .Select(one => $"{one.Item1} {one.Item2}"));

    static string Under(BenchMachine machine, string more) => $"{machine.Device}, {machine.Date:yyyy-MM-dd}; {more}";
}
