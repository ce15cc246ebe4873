using System.CommandLine;

namespace CudaSae.Cli;

/// <summary>The command cudasae bench times a step on random data and its phases; bench kernels times each phase by
/// itself. docs/internals/benchmarks.md describes what is measured and how.</summary>
static class BenchCommand
{
    const int LeastRepeats = 20;

    public static Command Create()
    {
        var command = PhaseCommand("bench", "Measure a training step on random data.");
        command.Subcommands.Add(PhaseCommand("step", "Time a training step and its phases; the same as bench alone."));
        command.Subcommands.Add(PhaseCommand("kernels",
            "Time each phase's kernels by itself, with 5 % of the latents dead if the method has an auxiliary loss."));
        return command;
    }

    static Command PhaseCommand(string name, string description)
    {
        var (kernels, settings) = (name == "kernels", new Settings());
        var width = Options.New("--input-width", "d", 512, 1, 16384);
        var repeats = Options.New("--repeats", $"timed runs of each, at least {LeastRepeats}", LeastRepeats, 1,
            1 << 20);
        var dead = Options.New("--dead", "latents that are dead, for the auxiliary loss; -1 for 5 % of them", kernels
            ? -1 : 0, -1, 1 << 26);
        var shapes =
            Options.New("--shapes",
            "several shapes in one call, as ROWSxWIDTHxLATENTSxK,...; paper for the four of the cost model", "");
        var filter = Options.New("--filter", "only rows whose name contains this", "");
        var csv = Options.New("--csv", "also write the rows into this file", "");
        var trusting =
            Options.New("--unchecked",
            "omit errors and checksums, which take minutes for weights of many gigabytes", false);
        var json = Options.Flag("--json", "one line of JSON: milliseconds by phase, unchecked");
        json.Hidden = kernels;
        var command = new Command(name, description) { width, repeats, dead, shapes, filter, csv, trusting, json };
        settings.AddTo(command);
        command.SetAction(parsed =>
        {
            var (spec, config) = settings.Records(parsed, parsed.GetValue(width));
            var (kind, times) = (parsed.GetValue(settings.Backend), Math.Max(LeastRepeats, parsed.GetValue(repeats)));
            bool Wanted(BenchRow row) =>
                row.Name.Contains(parsed.GetValue(filter)!, StringComparison.OrdinalIgnoreCase);
            if (parsed.GetValue(json))
            {
                Console.WriteLine(StepBench.Json(kind, spec, config, times));
                return 0;
            }
            kind = ChosenBackend.Of(kind);
            var (rows, members) = (new List<(BenchMachine Machine, BenchRow Row)>(), new Members());
            var all = BenchShapes.Parse(parsed.GetValue(shapes)!, spec, config).ToArray();
            foreach (var shape in all)
            {
                var deads = parsed.GetValue(dead) >= 0 ? parsed.GetValue(dead) : shape.Spec.Aux is null ? 0
                    : shape.Spec.Latents / 20;
                members.Try($"B {shape.Config.BatchRows}, d {shape.Spec.InputWidth}, n {shape.Spec.Latents}", () =>
                {
                    var (what, check) = (kernels ? "kernels" : "step", !parsed.GetValue(trusting));
                    var (machine, measured) = StepBench.Run(what, kind, shape.Spec, shape.Config, deads, times, check);
                    BenchTable.Print(machine, [.. measured.Where(Wanted)]);
                    rows.AddRange(measured.Select(row => (machine, row)));
                }, e => all.Length > 1 && Members.IsOfRun(e));
            }
            if (rows.Count == 0) return members.ExitCode;
            rows = [.. BenchFloors.ByBestCeilings(rows).Where(one => Wanted(one.Row))];
            if (parsed.GetValue(csv) is { Length: > 0 } path) BenchCsv.Write(path, rows);
            return rows.Any(one => one.Row.Repeatable == false) ? 1 : members.ExitCode;
        });
        return command;
    }
}
