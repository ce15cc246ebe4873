using System.Text;
using System.Text.Json;
using CudaSae.Activations.Stores;
using CudaSae.Cli;
using CudaSae.Lab.Insight.Density;
using CudaSae.Lab.Insight.Probes;
using CudaSae.Lab.Report;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Runs;

namespace CudaSae.Testing.Fuzz;

/// <summary>What commands read from a run's or a sweep's folder besides weights: records, logs, figures.</summary>
sealed partial class FuzzTargets
{
    static byte[][] RecordWords =>
        Words("\"spec\":", "\"config\":", "\"selection\":", "\"kind\":", "\"topk\"", "\"Adam\"", "\"adam, sgd\"", "7",
        "\"7\"", "\"backend\":\"nosuch\"", "\"backend\":3", "\"preset\":\"nosuch\"", "\"NaN\"", "1e999", "-1",
        "\"1,5\"", "null",
        "\"members\":[]", "\"name\":\"../x\"", "\xef\xbb\xbf", "\xff\xfe", "// x\n", ",", "\"\"");

    static FuzzTarget SweepJson()
    {
        static SweepMember Member(string preset)
        {
            var (spec, config) = Preset.Named(preset).Make(6, 24, 4, new() { BatchRows = 64, Vectors = 6400 });
            return new($"{preset}-n24", preset, 4, null, spec, config, ["--k", "4"]);
        }
        var record = new SweepRecord([Member("topk"), Member("jumprelu"), Member("matryoshka")], ["a: no"], ["a.npy"],
            ["b.npy"], "100", null, "Cpu", 0, "1.0");
        static void Read(byte[] bytes)
        {
            foreach (var member in SweepRecord.Parse(Name, bytes).Members) _ = Path.Combine("s", member.Name)
                + member.Arguments.Length;
        }
        return new("sweep.json",
            [new(JsonSerializer.SerializeToUtf8Bytes(record, Runs.SweepJson.Compact.SweepRecord), JsonStructure.Mutate,
            Read)], RecordWords);
    }

    static FuzzTarget OutcomeJson()
    {
        SweepOutcome[] outcomes =
            [new(null, new(100, 0.25, 4, 1, 0.9, 1), 2.5), new("it failed", null, 0), new(null, null, 1)];
        return new("outcome.json",
            [.. outcomes.Select(o =>
            new FuzzCase(JsonSerializer.SerializeToUtf8Bytes(o, Runs.SweepJson.Compact.SweepOutcome),
                JsonStructure.Mutate,
            bytes => SweepOutcome.Parse(Name, bytes)))],
            [.. RecordWords, .. Words("\"evaluation\":", "\"error\":", "\"rows\":", "\"fvu\":")]);
    }

    FuzzTarget MetricsLines()
    {
        var run = Directory.CreateDirectory(Path.Combine(folder.FullName, "metrics")).FullName;
        var path = Path.Combine(run, MetricsHistory.FileName);
        void Read(byte[] bytes)
        {
            File.WriteAllBytes(path, bytes);
            _ = TrainingCurves.Of(run)?.Figures.Length;
            if (MetricsHistory.Read(path).Damaged > 0) throw new SaeException("it has lines that cannot be read");
            MetricsLog.CutBack(path, 15);
        }
        var text = string.Join('\n', Enumerable.Range(1, 4).Select(i =>
            $$"""{"step":{{10 * i}},"vectors":{{640 * i}},"loss":0.5,"l0":4,"dead_percent":"NaN","dense":false}"""))
            + "\n";
        return new("metrics.jsonl",
            [new(Encoding.UTF8.GetBytes(text), JsonStructure.Mutate, Read, BytesBeside: 16 << 20)],
            Words("\n", "\r\n", "{", "\"step\":", "\"NaN\"", "\"1,5\"", "1e999", "-1", "\"\\ud800\"", "\"\\ud800\":1,",
            "null", "true", "\xff", "\0"));
    }

    FuzzTarget Sections()
    {
        Figure[] figures =
        [
            new LinesFigure("a", "A", new("x"), new("y", Log: true),
                [new("s", [1, 2], [3, float.NaN]) { Labels = ["p", "q"] }]),
                new HistogramFigure("b", "B", new("x"), new("y"), [0, 1, 2], [new("h", [3, 4])]),
            new ScatterFigure("c", "C", [new("u", [1, 2]), new("v", [3, 4])], "u", "v") { Z = "u", Colour = "v",
                Latents = [5, 6] }, new HeatFigure("d", "D", ["r"], ["c1", "c2"], [1, 2]) { From = 0, To = 1 },
            new TableFigure("e", "E", [new("t", ["x", "y"]), new("n", null, [1, null])]),
                new ImagesFigure("f", "F", 2, 1, [1, 2], ["i"]),
        ];
        void Read(byte[] bytes)
        {
            Section[] sections = [Section.Parse(Name, bytes)];
            PlainSections.Write(Path.Combine(folder.FullName, "sections.json"), sections);
            FigureCsv.Write(Path.Combine(folder.FullName, "csv"), sections);
            _ = ReportPage.Html("x", sections).Length;
        }
        return new("figures", [.. figures.Select(f => new FuzzCase(JsonSerializer.SerializeToUtf8Bytes(new Section("s",
            "S", 1, [f]), ReportJson.Default.Section), JsonStructure.Mutate, Read))],
            Words("\"kind\":", "\"lines\"", "\"heat\"", "\"images\"", "\"series\":", "\"columns\":",
                "\"x\":\"AACAPw==\"", "\"AACA\"", "\"width\":", "2147483647", "\"NaN\"", "1e999", "null", "\"../x\"",
                "\"\\ud800\"", "</script>"));
    }

    FuzzTarget Densities()
    {
        var run = Directory.CreateDirectory(Path.Combine(folder.FullName, "density")).FullName;
        void Read(byte[] bytes)
        {
            File.WriteAllBytes(Path.Combine(run, DensityFile.Name), bytes);
            _ = DensityFigures.Section(run)?.Figures.Length;
        }
        byte[] Valid(int latents, params int[] kept) =>
        [
            .. DensityFile.Header(latents, kept, 64),
            .. Enumerable.Range(1, 3)
                .SelectMany(w => DensityFile.Record(new(10 * w, 640, [.. kept.Select(f => (uint)(w * f))],
                new bool[kept.Length], [.. kept.Select(f => f % 2 == w % 2)], new int[DensityFile.OctaveCount]))),
        ];
        return new("density.bin", [new(Valid(5, 0, 1, 2, 3, 4), null, Read), new(Valid(100, 7, 50, 99), null, Read)],
            Words("CSDENS01", "\0\0\0\0", "\xff\xff\xff\xff", "\xff\xff\xff\x7f", "\x01\0\0\0", "\0\0\0\0\0\0\0\x80"));
    }

    FuzzTarget TokenLines()
    {
        var path = Path.Combine(folder.FullName, "tokens.jsonl");
        void Read(byte[] bytes)
        {
            File.WriteAllBytes(path, bytes);
            _ = TokenLabels.Read(path, 5).Names.Length;
        }
        var text = "{\"row\":0,\"text\":\"a b\",\"tokens\":[\"\\u2581a\",\"\\u2581b\"]}\n"
            + "{\"row\":2,\"tokens\":[\"c\",\"d\",\"e\"]}\n";
        return new("tokens.jsonl", [new(Encoding.UTF8.GetBytes(text), JsonStructure.Mutate, Read)],
            Words("null", "\"\\ud800\"", "1e999", "-1", "9223372036854775807", "[]", "{}", "\"\xff\"", "\n",
                "{\"row\":5,\"tokens\":[]}\n", ","));
    }

    FuzzTarget Sites()
    {
        var path = Path.Combine(folder.FullName, "x.site.json");
        void Read(byte[] bytes)
        {
            File.WriteAllBytes(path, bytes);
            _ = SiteNote.Read(Path.ChangeExtension(Path.ChangeExtension(path, null), ".npy"))!.Length;
        }
        return new("site.json", [new("{\"model\":\"stories\",\"site\":\"resid_post0\"}\n"u8.ToArray(),
            JsonStructure.Mutate, Read)],
            Words("\"model\":", "\"site\":", "\"\\ud800\"", "null", "\"\\u0000\"", "\xef\xbb\xbf", "//", ","));
    }
}
