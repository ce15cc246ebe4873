using System.CommandLine;
using CudaSae.Cli;
using CudaSae.Testing.Fuzz;

namespace CudaSae.Bench.Fuzz;

/// <summary>cudasae-bench fuzz: hostile inputs for the parsers; a line for each parser and for each finding.</summary>
static class FuzzCommand
{
    public static Command Create()
    {
        var parser = new Argument<string>("PARSER")
        {
            Description = "parsers by name, with commas between, or all", Arity = ArgumentArity.ZeroOrOne,
            DefaultValueFactory = _ => "all",
        };
        var inputs = Options.New("--inputs", "inputs of each parser", 1_000_000L, 1L, long.MaxValue);
        var seed = Options.New("--seed", "of the inputs", 1L, 0L, long.MaxValue);
        var from = Options.New("--from", "number of the first input", 0L, 0L, long.MaxValue);
        var save = Options.New("--save", "folder for the inputs that are findings",
            Path.Combine(Path.GetTempPath(), "cudasae-fuzz"));
        var minutes = Options.Optional("--minutes", "minutes after which a parser's run ends", 1L, 1L << 20);
        var command = new Command("fuzz", "Give hostile inputs to the parsers.")
        {
            parser, inputs, seed, from, save, minutes,
        };
        command.SetAction(parsed =>
        {
            TimeSpan? limit = parsed.GetValue(minutes) is { } given ? TimeSpan.FromMinutes(given) : null;
            return Run(parsed.GetValue(parser)!, parsed.GetValue(inputs), parsed.GetValue(seed),
                parsed.GetValue(from), parsed.GetValue(save)!, limit);
        });
        return command;
    }

    static int Run(string parser, long inputs, long seed, long from, string folder, TimeSpan? minutes)
    {
        using var targets = new FuzzTargets();
        var names = parser.Split(',');
        var chosen = targets.All.Where(t => names.Contains("all") || names.Contains(t.Name)).ToArray();
        if (chosen.Length == 0)
            throw new SaeException($"no parser {parser}; one of all, "
                + string.Join(", ", targets.All.Select(t => t.Name)));
        var found = 0;
        foreach (var target in chosen)
        {
            var result = FuzzRun.Of(target, seed, inputs, from, minutes);
            found += result.Findings.Count;
            Console.WriteLine(FormattableString.Invariant($"{target.Name,-22} {result.Inputs,9} inputs, seed {seed}: ")
                + FormattableString.Invariant($"{result.Accepted} read, refused with {result.Refusals} different ")
                + FormattableString.Invariant($"messages, {result.Findings.Count} ")
                + FormattableString.Invariant($"findings, {result.Time.TotalSeconds:0.0} s"));
            foreach (var finding in result.Findings) Report(target.Name, seed, finding, folder);
        }
        return found == 0 ? 0 : 1;
    }

    static void Report(string parser, long seed, FuzzRun.Finding finding, string folder)
    {
        Directory.CreateDirectory(folder);
        var file = Path.Combine(folder, $"{parser}-{seed}-{finding.Number}");
        File.WriteAllBytes(file, finding.Bytes);
        Console.WriteLine($"  {finding.What}\n    {file}; again: fuzz {parser} --seed {seed} --from {finding.Number} "
            + "--inputs 1");
    }
}
