using System.Globalization;
using CudaSae.Testing.Fuzz;

namespace CudaSae.Bench.Fuzz;

/// <summary>fuzz [PARSER|all] [--inputs N] [--seed S] [--from NUMBER] [--save FOLDER] [--minutes M]: a line for each parser and for each finding.</summary>
static class FuzzCommand
{
    public static int Run(string[] arguments)
    {
        var parser = arguments.FirstOrDefault() is { } first && !first.StartsWith('-') ? first : "all";
        string? Text(string name) => Array.IndexOf(arguments, name) is >= 0 and var at && at + 1 < arguments.Length ? arguments[at + 1] : null;
        long Number(string name, long otherwise) => Text(name) is { } text ? long.Parse(text, CultureInfo.InvariantCulture) : otherwise;
        var (inputs, seed, from) = (Number("--inputs", 1_000_000), Number("--seed", 1), Number("--from", 0));
        TimeSpan? minutes = Text("--minutes") is not null ? TimeSpan.FromMinutes(Number("--minutes", 0)) : null;
        using var targets = new FuzzTargets();
        var chosen = targets.All.Where(t => parser.Split(',') is var names && (names.Contains("all") || names.Contains(t.Name))).ToArray();
        if (chosen.Length == 0)
        {
            Console.Error.WriteLine($"no parser {parser}; one of all, {string.Join(", ", targets.All.Select(t => t.Name))}");
            return 2;
        }
        var found = 0;
        foreach (var target in chosen)
        {
            var result = FuzzRun.Of(target, seed, inputs, from, minutes);
            found += result.Findings.Count;
            Console.WriteLine(FormattableString.Invariant($"{target.Name,-22} {result.Inputs,9} inputs, seed {seed}: {result.Accepted} read, refused with {result.Refusals} different messages, {result.Findings.Count} findings, {result.Time.TotalSeconds:0.0} s"));
            foreach (var finding in result.Findings) Report(target.Name, seed, finding, Text("--save") ?? Path.Combine(Path.GetTempPath(), "cudasae-fuzz"));
        }
        return found == 0 ? 0 : 1;
    }

    static void Report(string parser, long seed, FuzzRun.Finding finding, string folder)
    {
        Directory.CreateDirectory(folder);
        var file = Path.Combine(folder, $"{parser}-{seed}-{finding.Number}");
        File.WriteAllBytes(file, finding.Bytes);
        Console.WriteLine($"  {finding.What}\n    {file}; again: fuzz {parser} --seed {seed} --from {finding.Number} --inputs 1");
    }
}
