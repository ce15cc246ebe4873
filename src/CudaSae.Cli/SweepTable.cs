using System.Globalization;
using CudaSae.Files;
using CudaSae.Lab.Insight;
using CudaSae.Numerics;
using CudaSae.Runs;
using CsvHelper;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The results of a sweep, in sweep.csv and on the console.</summary>
static class SweepTable
{
    const string FileName = "sweep.csv";

    static readonly string[] Header = ["name", "preset", "latents", "k", "coefficient", "seed", "batch_rows", "l0",
        "fvu", "silent_percent", "shrinkage", "cosine", "loss_recovered", "seconds", "error"];

    /// <summary>Writes one line for each finished member and one for each combination that is not an SAE. The column
    /// loss_recovered stays empty: a sweep has activations, not the model that produced them.</summary>
    public static void WriteCsv(
        string folder, SweepRecord sweep, IReadOnlyDictionary<SweepMember, SweepOutcome> outcomes)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        using (var csv = CsvWriter.Create(text))
        {
            foreach (var name in Header) csv.WriteField(name);
            csv.EndRecord();
            foreach (var member in sweep.Members.Where(outcomes.ContainsKey))
            {
                Write(csv, member, outcomes[member]);
                csv.EndRecord();
            }
            foreach (var (name, reason) in sweep.Refused.Select(Parts))
            {
                csv.WriteField(name);
                for (var i = 2; i < Header.Length; i++) csv.WriteField("");
                csv.WriteField(reason);
                csv.EndRecord();
            }
        }
        AtomicFile.WriteText(Path.Combine(folder, FileName), text.ToString());
    }

    /// <summary>Splits the line of a refused combination into name and reason. A name has no colon.</summary>
    static (string Name, string Reason) Parts(string line) =>
        line.Split(": ", 2) is [var name, var reason] ? (name, reason) : (line, "");

    static void Write(CsvWriter csv, SweepMember member, SweepOutcome outcome)
    {
        csv.WriteField(member.Name);
        csv.WriteField(member.Preset);
        csv.WriteField(member.Spec.Latents);
        csv.WriteField(member.K);
        csv.WriteField(member.Coefficient);
        csv.WriteField(member.Config.Seed);
        csv.WriteField(member.Config.BatchRows);
        var e = outcome.Evaluation;
        foreach (var value in (ReadOnlySpan<double?>)[e?.L0, e?.Fvu, e?.SilentPercent, e?.Shrinkage, e?.Cosine, null,
            outcome.Seconds])
            csv.WriteField(value);
        csv.WriteField(outcome.Error);
    }

    public static void Print(SweepRecord sweep, IReadOnlyDictionary<SweepMember, SweepOutcome> outcomes)
    {
        var table = new Table();
        foreach (var name in (string[])["member", "L0", "FVU", "silent %", "γ", "cosine", "seconds"])
            table.AddColumn(name == "member" ? new TableColumn(name).NoWrap() : new TableColumn(name).RightAligned());
        foreach (var member in sweep.Members)
        {
            var (e, seconds) =
                (outcomes[member].Evaluation, outcomes[member].Seconds.ToString("0.0", CultureInfo.InvariantCulture));
            string[] measures = e is null ? None(outcomes[member].Error is null ? "" : "failed")
                :
                [
                    Text(e.L0, "0.00"), Text(e.Fvu, "0.0000"), Text(e.SilentPercent, "0.00"),
                    Text(e.Shrinkage, "0.0000"), Text(e.Cosine, "0.0000"),
                ];
            table.AddRow([Markup.Escape(member.Name), .. measures, seconds]);
        }
        foreach (var (name, _) in sweep.Refused.Select(Parts))
            table.AddRow([Markup.Escape(name), .. None("left out"), ""]);
        AnsiConsole.Write(table);

        static string[] None(string why) => [why, "", "", "", ""];
    }

    /// <summary>Returns the evaluated members as points of the plot.</summary>
    public static IReadOnlyList<SweepPoint> Points(SweepMember[] members,
        IReadOnlyDictionary<SweepMember, SweepOutcome> outcomes)
    {
        var (widths, seeds, batches) =
            (Several(m => m.Spec.Latents), Several(m => m.Config.Seed), Several(m => m.Config.BatchRows));
        return [.. members.Where(m => outcomes[m].Evaluation is not null)
            .Select(m => new SweepPoint(m.Name, Line(m), m.Spec.Latents, Sparsity(m), outcomes[m]))];

        bool Several<T>(Func<SweepMember, T> of) => members.Select(of).Distinct().Count() > 1;
        string Line(SweepMember m) =>
            m.Preset + (widths ? $", n {m.Spec.Latents}" : "") + (seeds ? $", seed {m.Config.Seed}" : "")
                + (batches ? $", B {m.Config.BatchRows}" : "");
    }

    /// <summary>Returns k, or λ if the method has none.</summary>
    static double Sparsity(SweepMember member) => member.K ?? member.Coefficient ?? double.NaN;

    static string Text(double? value, string format) => Ratio.Text(value, format, CultureInfo.InvariantCulture);
}
