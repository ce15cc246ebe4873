using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json;
using CudaSae.Cli.Watch;
using CudaSae.Lab.Report;
using static CudaSae.Tests.WatchTests;

namespace CudaSae.Tests;

/// <summary>train --watch as a user runs it.</summary>
[Trait("speed", "slow")]
public class WatchCommandTests
{
    static readonly string[] Settings = ["--latents", "256", "--k", "8", "--aux-k", "16", "--batch-rows", "64",
        "--vectors", "96000", "--log-every", "3", "--backend", "cpu"];

    [Fact]
    public void AnOccupiedPortIsRefusedInOneLineBeforeTraining()
    {
        using var folder = new TemporaryFolder();
        using var server = Server();
        AssertOneLine("another program listens on this port", () => new WatchServer(server.Port, () => [], () => []));
        var data = NpyRows.Write(folder["x.npy"], 200, 32);
        foreach (var (port, expected) in new[] { ($"{server.Port}", "another program listens"), ("70000", "a port is"),
            ("x", "x") })
        {
            var (code, _, error) =
                CliProgram.Run(CliProgram.Start(["train", data, "--out", folder["run"], .. Settings, "--watch", port]));
            Assert.Equal((2, 1), (code, error.Trim().Split('\n').Length));
            Assert.Contains(expected, error);
            Assert.False(Directory.Exists(folder["run"]));
        }
    }

    /// <summary>A client reads as often as it can. It receives the logged numbers, and the weights equal those of a run
    /// without clients.</summary>
    [Fact]
    public void AWatchedRunHasTheSameWeightsAndShowsItsNumbers()
    {
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 1000, 32);
        var alone = CliProgram.OnOneThread(["train", data, "--out", folder["alone"], .. Settings]);
        Assert.Equal(0, CliProgram.Run(alone).Code);
        var watched = CliProgram.OnOneThread(["train", data, "--out", folder["run"], .. Settings, "--watch"]);
        var shown = Watch(watched, folder["run/metrics.jsonl"]);
        Assert.Equal(File.ReadAllBytes(folder["alone/sae_weights.safetensors"]),
            File.ReadAllBytes(folder["run/sae_weights.safetensors"]));
        var logged = File.ReadLines(folder["run/metrics.jsonl"]).Select(l => JsonDocument.Parse(l).RootElement)
            .Select(l => ((float)l.GetProperty("step").GetInt64(), (float)l.GetProperty("fvu").GetDouble())).ToArray();
        Assert.Contains(shown, figure => figure.Series[0].X.Length > 0);
        foreach (var curve in shown.Select(f => f.Series[0]))
            Assert.Equal(logged[..curve.X.Length], curve.X.Zip(curve.Y));
    }

    /// <summary>Runs the process to its end, and returns the curves of FVU that it showed.</summary>
    static List<LinesFigure> Watch(ProcessStartInfo start, string log)
    {
        using var process = Process.Start(start)!;
        var problem = process.StandardError.ReadToEndAsync();
        const string told = "watch this run at http://127.0.0.1:";
        var line = process.StandardOutput.ReadLine();
        while (line?.StartsWith(told, StringComparison.Ordinal) == false) line = process.StandardOutput.ReadLine();
        var rest = process.StandardOutput.ReadToEndAsync();
        var port = line is null ? 0 : int.Parse(line[told.Length..].TrimEnd('/'));
        var shown = new List<LinesFigure>();
        while (port > 0 && !process.HasExited)
        {
            if (!File.Exists(log) || new FileInfo(log).Length == 0) continue;
            string answer;
            try { answer = Ask(port, Valid); }
            catch (SocketException) { break; }      // the process has ended
            if (Status(answer) == 200
                && JsonSerializer.Deserialize(answer.Split("\r\n\r\n")[1],
                    ReportJson.Default.ChapterArray) is [var chapter, ..])
                shown.Add(chapter.Figures.OfType<LinesFigure>().Single(f => f.Id == "fvu"));
            Thread.Sleep(20);
        }
        process.WaitForExit();
        Assert.True(process.ExitCode == 0 && port > 0, problem.Result + line + rest.Result);
        return shown;
    }
}
