using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Cli;

namespace CudaSae.Tests;

/// <summary>metrics.jsonl, metrics.csv and TensorBoard's events: their contents, their state after a kill, and their
/// state in a resumed run.</summary>
[Trait("speed", "slow")]
public class MetricsFileTests
{
    static StepMetrics Metrics(long step, double basis = 0)
    {
        var value = basis + step;
        double Next() => value += 0.125 + 1e-3 * basis;
        return new()
        {
            Step = step, Vectors = 64 * step, Loss = Next(), Fvu = Next(), L0 = Next(), DeadPercent = Next(),
            AuxLoss = Next(), Sparsity = Next(), GateLoss = Next(), Coefficient = Next(), Shrinkage = Next(),
            GradientNorm = Next(),
            LearningRate = Next(), RowsPerSecond = Next(), EncodeGflops = Next(), PercentOfLimit = step % 2 == 0 ? null
                : Next(), Overflows = step + 7, Dense = step % 2 == 1, DenseDifference = null,
            PrepareMs = Next(), EncodeMs = Next(), DecodeMs = Next(), AuxMs = Next(), BackwardMs = Next(),
            OptimizeMs = Next(), LatentsMs = Next(), InputWaitMs = Next(), FeederWaitMs = Next(),
        };
    }

    [Fact]
    public void EveryNumberOfAStepIsInEveryFile()
    {
        var properties = typeof(StepMetrics).GetProperties().Where(p => p.Name != "EqualityContract")
            .ToDictionary(p => JsonNamingPolicy.SnakeCaseLower.ConvertName(p.Name));
        Assert.Equal(properties.Keys.Order(), MetricField.All.Select(f => f.Name).Order());
        Assert.Equal(MetricField.All.Count, MetricField.All.Select(f => f.Tag).Distinct().Count());
        foreach (var m in new[] { Metrics(3, 0.1), Metrics(4) })
            foreach (var field in MetricField.All)
                Assert.Equal(properties[field.Name]
                    .GetValue(m) switch
                {
                    null => null,
                    bool b => b ? 1.0 : 0,
                    var number => Convert.ToDouble(number, CultureInfo.InvariantCulture)
                },
                    field.Of(m));
    }

    [Fact]
    public void EventFilesHoldEveryValueUnderRightChecksums()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["run"]);
        var written = Enumerable.Range(1, 40).Select(i => Metrics(10 * i + i % 2, 1.0 / 3)).ToArray();
        using (var log = new TensorBoardLog(folder["run"], 0))
            foreach (var m in written[..25]) log.Write(m);
        using (var log = new TensorBoardLog(folder["run"], written[24].Step))
            foreach (var m in written[25..]) log.Write(m);
        var files = Directory.GetFiles(folder["run"]).Order(StringComparer.Ordinal).ToArray();
        Assert.Equal(2, files.Length);
        Assert.All(files,
            file => Assert.Matches(@"^events\.out\.tfevents\.\d{10}\.cudasae\.\d+$", Path.GetFileName(file)));
        var events = EventFile.ReadFolder(folder["run"]);
        Assert.Equal(2, events.Count(e => e.Version == "brain.Event:2"));
        Assert.Equal([written[24].Step + 1], events.Where(e => e.Restart).Select(e => e.Step));
        var scalars = events.Where(e => e.Scalars.Count > 0).ToArray();
        Assert.Equal(written.Select(m => m.Step), scalars.Select(e => e.Step));
        foreach (var (m, e) in written.Zip(scalars))
        {
            Assert.Equal(MetricField.All.Where(f => f.Name != "step" && f.Of(m) is not null)
                .ToDictionary(f => f.Tag, f => (float)f.Of(m)!.Value),
                e.Scalars);
            Assert.InRange(e.WallTime, DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 100,
                DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 1);
        }
        Assert.SkipWhen(Python.Plain is null, "no python3 here");
        var lines = files.SelectMany(file =>
            Python.RunPlain("events.py", file).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            .ToArray();
        Assert.Equal([$"restart {written[24].Step + 1}"],
            lines.Where(l => l.StartsWith("restart", StringComparison.Ordinal)));
        Assert.Equal(scalars.SelectMany(e => e.Scalars.Select(s => (e.Step, s.Key, (double)s.Value))),
            lines.Where(l => !l.StartsWith("restart", StringComparison.Ordinal)).Select(l => l.Split(' '))
                .Select(l => (long.Parse(l[0]), l[1], double.Parse(l[2], CultureInfo.InvariantCulture))));
    }

    /// <summary>Checksums of 32 zeros and 32 ones from RFC 3720 (B.4), masked.</summary>
    [Theory, InlineData(0, 0x8A9136AAu), InlineData(255, 0x62A8AB43u)]
    public void ChecksumsMatchTheStandard(byte filled, uint crc)
    {
        var record = Enumerable.Repeat(filled, 32).ToArray();
        Assert.Equal(unchecked((crc >> 15 | crc << 17) + 0xA282EAD8),
            BitConverter.ToUInt32(TfRecords.Frame(record).AsSpan(^4)));
    }

    /// <summary>An event file that is truncated anywhere keeps its whole records, and a resume keeps the records up to
    /// the step.</summary>
    [Fact]
    public void ATruncatedEventFileKeepsItsWholeRecords()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["run"]);
        using (var log = new TensorBoardLog(folder["run"], 0))
            foreach (var step in (int[])[10, 20, 30]) log.Write(Metrics(step));
        var path = Directory.GetFiles(folder["run"]).Single();
        var whole = File.ReadAllBytes(path);
        var ends = EventFile.Records(whole).Select(r => r.Length + 16)
            .Aggregate(new List<int> { 0 }, (list, length) => [.. list, list[^1] + length]);
        for (var length = 0; length <= whole.Length; length += length % 7 == 0 ? 1 : 61)
        {
            File.WriteAllBytes(path, whole[..length]);
            TensorBoardLog.CutBack(folder["run"], 25);
            Assert.Equal(whole[..ends.Take(4).Last(end => end <= length)], File.ReadAllBytes(path));
        }
        var damaged = whole.ToArray();
        damaged[ends[2] + 30] ^= 1;
        File.WriteAllBytes(path, damaged);
        TensorBoardLog.CutBack(folder["run"], 1000);
        Assert.Equal(whole[..ends[2]], File.ReadAllBytes(path));
        Assert.Single(Directory.GetFiles(folder["run"]));
    }

    [Fact]
    public void LinesAfterTheStepAndATruncatedLineAreRemoved()
    {
        using var folder = new TemporaryFolder();
        string lines = folder["m.jsonl"], table = folder["m.csv"];
        using (var log = new MetricsLog(lines))
            foreach (var step in (int[])[10, 20, 30, 40]) log.Write(Metrics(step));
        using (var csv = new MetricsCsv(table))
            foreach (var step in (int[])[10, 20, 30, 40]) csv.Write(Metrics(step));
        var (wholeLines, wholeTable) = (File.ReadAllLines(lines), File.ReadAllLines(table));
        foreach (var file in (string[])[lines, table])
        {
            using var stream = new FileStream(file, FileMode.Open);
            stream.SetLength(stream.Length - 20);       // step 40 was being written
        }
        MetricsLog.CutBack(lines, 30);
        MetricsCsv.CutBack(table, 30);
        Assert.Equal((string.Join('\n', wholeLines[..3]) + "\n", string.Join("\r\n", wholeTable[..4]) + "\r\n"),
            (File.ReadAllText(lines), File.ReadAllText(table)));
        var written = (File.GetLastWriteTimeUtc(lines), File.GetLastWriteTimeUtc(table));
        MetricsLog.CutBack(lines, 30);
        MetricsCsv.CutBack(table, 35);
        Assert.Equal(written, (File.GetLastWriteTimeUtc(lines), File.GetLastWriteTimeUtc(table)));
        MetricsLog.CutBack(lines, 15);
        MetricsCsv.CutBack(table, 15);
        Assert.Equal((wholeLines[0] + "\n", wholeTable[0] + "\r\n" + wholeTable[1] + "\r\n"),
            (File.ReadAllText(lines), File.ReadAllText(table)));
        MetricsLog.CutBack(folder["none.jsonl"], 1);
        MetricsCsv.CutBack(folder["none.csv"], 1);
        TensorBoardLog.CutBack(Path.GetDirectoryName(lines)!, 1);
        Assert.Equal(2, Directory.GetFiles(Path.GetDirectoryName(lines)!).Length);
    }

    [Fact]
    public void AnOlderTableGetsTheNewColumns()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["m.csv"], "step,fvu,gone\r\n10,0.5,1\r\n20,0.25,2\r\n30,0.125,3\r\n");
        MetricsCsv.CutBack(folder["m.csv"], 20);
        using (var csv = new MetricsCsv(folder["m.csv"])) csv.Write(Metrics(21));
        var rows = File.ReadAllLines(folder["m.csv"]).Select(l => l.Split(',')).ToArray();
        Assert.Equal(MetricField.All.Select(f => f.Name), rows[0]);
        Assert.All(rows, row => Assert.Equal(rows[0].Length, row.Length));
        var fvu = Array.IndexOf(rows[0], "fvu");
        Assert.Equal([("10", "0.5"), ("20", "0.25")], rows[1..3].Select(r => (r[0], r[fvu])));
        Assert.Equal("", rows[1][fvu + 1]);
        Assert.Equal("21", rows[3][0]);
    }

    static readonly string[] Timing = ["rows_per_second", "encode_gflops", "percent_of_limit", "prepare_ms",
        "encode_ms", "decode_ms", "aux_ms", "backward_ms", "optimize_ms", "latents_ms", "input_wait_ms",
        "feeder_wait_ms"];

    /// <summary>Removes the values that a clock measured from a line, and requires that they existed.</summary>
    static string WithoutTimes(string line)
    {
        var json = JsonNode.Parse(line)!.AsObject();
        foreach (var name in Timing) Assert.True(json.Remove(name), name);
        return json.ToJsonString();
    }

    /// <summary>The run is killed several times where the log is ahead of the last checkpoint. In the end every file
    /// equals that of an uninterrupted run, with each step once.</summary>
    [Fact]
    public void LogsOfAKilledRunEqualThoseOfAnUninterruptedRun()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a killed process has another exit code there");
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 1000, 32);
        string[] settings = ["--latents", "256", "--k", "8", "--aux-k", "16", "--batch-rows", "64", "--vectors",
            "19200", "--backend", "cpu", "--log-every", "3", "--checkpoint-every", "20", "--tensorboard"];
        var alone = CliProgram.OnOneThread(["train", data, "--out", folder["alone"], .. settings]);
        Assert.Equal(0, CliProgram.Run(alone).Code);
        var (kills, ahead) = (0, 0);
        for (var ended = false; !ended;)
        {
            string[] words =
                kills == 0 ? ["train", data, "--out", folder["run"], .. settings]
                    : ["train", "--resume", folder["run"]];
            ended = Life(CliProgram.OnOneThread(words),
                () =>
                    kills < 3 && LastStep(folder["run"]) > Checkpointed(folder["run"]) + 9
                        && Checkpointed(folder["run"]) >= 60 * (kills + 1));
            if (ended) continue;
            kills++;
            if (LastStep(folder["run"]) > Checkpointed(folder["run"])) ahead++;
        }
        Assert.True(ahead > 0, "no kill left a line behind the last checkpoint");
        Assert.Equal(File.ReadLines(folder["alone/metrics.jsonl"]).Select(WithoutTimes),
            File.ReadLines(folder["run/metrics.jsonl"]).Select(WithoutTimes));
        Assert.Equal(Enumerable.Range(1, 100).Select(i => 3L * i),
            File.ReadLines(folder["run/metrics.jsonl"]).Select(l =>
                JsonDocument.Parse(l).RootElement.GetProperty("step").GetInt64()));
        Assert.Equal(Untimed(folder["alone/metrics.csv"]), Untimed(folder["run/metrics.csv"]));
        Assert.Equal(kills + 1, Directory.GetFiles(folder["run"], "events.out.tfevents.*").Length);
        Assert.Equal(Scalars(folder["alone"]), Scalars(folder["run"]));

        static IEnumerable<string> Untimed(string csv)
        {
            var rows = File.ReadAllLines(csv).Select(l => l.Split(',')).ToArray();
            return rows.Select(row => string.Join(',', row.Where((_, i) => !Timing.Contains(rows[0][i]))));
        }

        static IEnumerable<string> Scalars(string run) => EventFile.ReadFolder(run).Where(e => e.Scalars.Count > 0)
            .Select(e => $"{e.Step}: "
                + string.Join(' ',
                    e.Scalars.Where(s => !Timing.Contains(s.Key.Split('/')[1])).Select(s => $"{s.Key}={s.Value:R}")));
    }

    /// <summary>Runs one process; returns false when it was killed.</summary>
    static bool Life(ProcessStartInfo start, Func<bool> kill)
    {
        using var process = Process.Start(start)!;
        var (output, problem) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        while (!process.HasExited)
            if (kill()) process.Kill();
            else Thread.Sleep(1);
        process.WaitForExit();
        Assert.True(process.ExitCode is 0 or 137, $"exit code {process.ExitCode}: {problem.Result}{output.Result}");
        return process.ExitCode == 0;
    }

    static long Checkpointed(string run) => Directory.Exists(Path.Combine(run, "checkpoint"))
        ? Directory.GetFiles(Path.Combine(run, "checkpoint"), "step-*.safetensors")
            .Select(p => long.Parse(Path.GetFileNameWithoutExtension(p)[5..])).DefaultIfEmpty(0).Max()
        : 0;

    /// <summary>Returns the step of the last whole line of metrics.csv, whose lines are the shortest.</summary>
    static long LastStep(string run)
    {
        if (!File.Exists(Path.Combine(run, "metrics.csv"))) return 0;
        using var stream = new FileStream(Path.Combine(run, "metrics.csv"), FileMode.Open, FileAccess.Read,
            FileShare.ReadWrite | FileShare.Delete);
        stream.Position = Math.Max(0, stream.Length - 2000);
        var lines = new StreamReader(stream).ReadToEnd().Split("\r\n");
        return lines.Length > 2 && long.TryParse(lines[^2].Split(',')[0], out var step) ? step : 0;
    }
}
