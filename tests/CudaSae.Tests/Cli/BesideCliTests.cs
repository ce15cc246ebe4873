using System.Globalization;
using System.Text.RegularExpressions;

namespace CudaSae.Tests;

/// <summary>Transcoders and crosscoders in the commands that evaluate an SAE: --beside names their targets and sites,
/// and FVU refers to these.</summary>
[Trait("speed", "slow")]
public class BesideCliTests
{
    static readonly string[] Small =
    [
        "--latents", "32", "--k", "2", "--batch-rows", "32", "--vectors", "960", "--held-out", "100",
        "--backend", "cpu",
    ];

    static string Works(params string[] arguments)
    {
        var (code, output, error) = CliProgram.Run(CliProgram.Start(arguments));
        Assert.True(code == 0, output + error);
        return output;
    }

    static void Refused(string reason, params string[] arguments)
    {
        var (code, _, error) = CliProgram.Run(CliProgram.Start(arguments));
        Assert.True(code == 2, $"exit code {code}: {error}");
        Assert.Contains(reason, Assert.Single(error.TrimEnd().Split('\n')));
    }

    static float[][] Rows(string path)
    {
        using var source = ActivationSource.Open([path]);
        return [.. Enumerable.Range(0, (int)source.Rows).Select(i =>
        {
            var row = new float[source.Width];
            source.ReadRow(i, row);
            return row;
        })];
    }

    /// <summary>Computes Σ‖ŷ − y‖² / Σ‖y − ȳ‖² over some columns, about the mean in double.</summary>
    static double Fvu(float[][] made, float[][] y, Range columns)
    {
        double error = 0, variance = 0;
        var (first, count) = columns.GetOffsetAndLength(made[0].Length);
        for (var c = first; c < first + count; c++)
        {
            var mean = y.Average(row => (double)row[c]);
            variance += y.Sum(row => Math.Pow(row[c] - mean, 2));
            error += y.Zip(made, (a, b) => Math.Pow((double)b[c] - a[c], 2)).Sum();
        }
        return error / variance;
    }

    static string Text(double fvu) => fvu.ToString("0.0000", CultureInfo.CurrentCulture);

    /// <summary>Returns the value in a row of eval's table.</summary>
    static string Shown(string row, string output) => Regex.Match(output, $"│ {row} +│ +([0-9.,]+) ").Groups[1].Value;

    [Fact]
    public void TranscodersAreMeasuredOnTheirTargets()
    {
        using var folder = new TemporaryFolder();
        var (x, y) = (NpyRows.Write(folder["x.npy"], 300, 16), NpyRows.Write(folder["y.npy"], 300, 12));
        var run = folder["run"];
        Works(["train", x, "--beside", y, "--preset", "skip-transcoder", "--out", run, .. Small]);
        using var sae = Sae.Load(run, Backends.BackendKind.Cpu);
        var made = Rows(x).Select(row =>
        {
            var to = new float[12];
            sae.Reconstruct(row, to);
            return to;
        }).ToArray();
        var (all, held) = (Text(Fvu(made, Rows(y), ..)), Text(Fvu(made[200..], Rows(y)[200..], ..)));

        var labels = folder["labels.csv"];
        File.WriteAllLines(labels, ["even", .. Enumerable.Range(0, 300).Select(i => $"{i / 2 % 2}")]);
        var output = Works("eval", run, x, "--beside", y, "--backend", "cpu");
        Assert.Equal(all, Shown("FVU", output));
        Assert.Contains(", y the target", output);
        Assert.Contains($"FVU of the target {all}", Works("inspect", run, x, "--beside", y, "--backend", "cpu"));
        Assert.Contains($"FVU of the target {all}",
            Works("probe", run, x, "--beside", y, "--labels", labels, "--k", "0", "--backend", "cpu"));
        Assert.Contains("variance of the target on 300 rows",
            Works("report", run, x, "--beside", y, "--no-latents", "--backend", "cpu").ReplaceLineEndings(" "));
        Assert.Equal(held, Shown("FVU", Works("eval", run, "--backend", "cpu")));       // the record names the target
        Works("convert", run, folder["copy"]);
        Assert.Equal(all, Shown("FVU", Works("eval", folder["copy"], x, "--beside", y, "--backend", "cpu")));

        foreach (string[] command in (string[][])[["eval"], ["inspect"], ["report"], ["probe", "--labels", labels]])
            Refused($"{run} is a transcoder, from 16 to 12 numbers a row: name the files of its input, and one file or "
                + "folder of its target with --beside", [command[0], run, x, .. command[1..]]);
        Refused("name activation files after it: those of its input, and of its target with --beside", "eval",
            folder["copy"]);
        Refused($"{x} is 16 wide, but the target of {run} has 12", "eval", run, x, "--beside", x);
        Refused($"{y} is 12 wide, but the input of {run} has 16", "eval", run, y, "--beside", y);
        Refused("holds 40 rows but", "eval", run, x, "--beside", NpyRows.Write(folder["short.npy"], 40, 12));
        Refused("--beside needs activation files", "eval", run, "--beside", y);
    }

    [Fact]
    public void CrosscodersAreMeasuredSiteBySite()
    {
        using var folder = new TemporaryFolder();
        var (x, y) = (NpyRows.Write(folder["x.npy"], 300, 16), NpyRows.Write(folder["y.npy"], 300, 12));
        var run = folder["run"];
        Works(["train", x, "--beside", y, "--preset", "crosscoder", "--out", run, .. Small]);
        using var sae = Sae.Load(run, Backends.BackendKind.Cpu);
        var rows = Rows(x).Zip(Rows(y), (a, b) => (float[])[.. a, .. b]).ToArray();
        var made = rows.Select(row =>
        {
            var to = new float[28];
            sae.Reconstruct(row, to);
            return to;
        }).ToArray();
        double[] fvu = [Fvu(made, rows, ..16), Fvu(made, rows, 16..)];
        using (var source = ActivationSource.Join(ActivationSource.Open([x]), ActivationSource.Open([y])))
            Assert.All(Evaluator.Run(sae, new(source, 0, 300)).SiteFvu!.Zip(fvu), pair =>
                Assert.Equal(pair.Second, pair.First!.Value, 1e-9));

        var output = Works("eval", run, x, "--beside", y, "--backend", "cpu");
        Assert.Equal([Text(fvu[0]), Text(fvu[1])], [Shown("FVU of site 1", output), Shown("FVU of site 2", output)]);
        Assert.Contains($", of site 1 {Text(fvu[0])}, of site 2 {Text(fvu[1])}",
            Works("inspect", run, x, "--beside", y, "--backend", "cpu"));
        Works("report", run, "--no-latents", "--json", folder["all.json"], "--backend", "cpu");
        Assert.Contains("FVU of site 2", File.ReadAllText(folder["all.json"]));

        Refused($"{run} is a crosscoder of 2 sites, 16 and 12 wide", "eval", run, x);
        Refused($"{x} is 16 wide, but site 2 of {run} has 12", "eval", run, x, "--beside", x);
        Works(["train", x, "--out", folder["plain"], .. Small]);
        Refused($"{folder["plain"]} has neither a target nor further sites", "eval", folder["plain"], x,
            "--beside", y);
        Refused($"{y} is 12 wide, but the input of {folder["plain"]} has 16", "inspect", folder["plain"], y);
    }
}
