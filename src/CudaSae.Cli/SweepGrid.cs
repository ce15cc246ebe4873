using System.CommandLine;
using System.Globalization;
using CudaSae.Backends;
using CudaSae.Model;
using CudaSae.Runs;

namespace CudaSae.Cli;

/// <summary>The axes of a sweep, given as comma-separated lists, and the members that they make. Each member is the
/// command line of one train, parsed by train's own settings.</summary>
sealed class SweepGrid
{
    readonly Option<string[]> presets =
        List("--presets", "recipes, such as topk,jumprelu; cudasae presets lists them", SpecDefaults.Preset);
    readonly Option<string[]> latents = List(SpecSettings.Latents.Flag, "widths n",
        SpecDefaults.Latents.ToString(CultureInfo.InvariantCulture));
    readonly Option<string[]> k = List(SpecSettings.K.Flag,
        $"{SpecSettings.K.Help}, for presets that set them", "8,16,32,64");
    readonly Option<string[]> coefficient = List(SpecSettings.Coefficient.Flag,
        "λ, for presets with a penalty: numbers, or multiples of the preset's own after an x",
        "x0.5,x1,x2,x4");
    readonly Option<string[]> seed = List("--seed", "seeds; members of different seeds share no batches", "1");
    readonly Option<string[]> batchRows = List("--batch-rows",
        "rows in a batch; members of different sizes share no batches",
        new TrainConfig().BatchRows.ToString(CultureInfo.InvariantCulture));
    readonly Settings rest = new();
    readonly List<Option> passed = [];      // passed to train unchanged

    public Option<BackendKind> Backend => rest.Backend;

    public void AddTo(Command command)
    {
        foreach (var axis in (Option[])[presets, latents, k, coefficient, seed, batchRows]) command.Options.Add(axis);
        var own = command.Options.ToArray();
        rest.AddTo(command, ["--preset", .. own.Select(o => o.Name)]);
        passed.AddRange(command.Options.Except(own).Where(o => o != rest.Backend));
    }

    /// <summary>Returns every combination that is an SAE, and a line for each one that is not.</summary>
    /// <exception cref="SaeException">A value that no option of train accepts, or an unknown preset.</exception>
    public (SweepMember[] Members, string[] Refused) Members(ParseResult parsed, int[] widths)
    {
        var (members, refused) = (new List<SweepMember>(), new List<string>());
        string[] common = [.. passed.Where(o => Settings.Given(parsed, o)).SelectMany(o => Tokens(parsed, o))];
        var (seeds, batches) = (Values(parsed, seed), Values(parsed, batchRows));
        foreach (var preset in Values(parsed, presets).Select(Preset.Named))
            foreach (var n in Values(parsed, latents))
                foreach (var (s, rows) in seeds.SelectMany(s => batches.Select(rows => (s, rows))))
                    foreach (var (active, lambda) in Sparsities(parsed, preset, widths[0], n))
                    {
                        var name =
                            $"{preset.Name}-n{n}{(active is null ? "" : $"-k{active}")}"
                            + (lambda is null ? "" : $"-l{lambda}")
                            + $"{(seeds.Length > 1 ? $"-s{s}" : "")}{(batches.Length > 1 ? $"-b{rows}" : "")}";
                        string[] arguments = ["--preset", preset.Name, "--latents", n, "--seed", s, "--batch-rows",
                            rows, .. active is null ? [] : (string[])["--k", active],
                            .. lambda is null ? [] : (string[])["--coefficient", lambda], .. common];
                        try { members.Add(Member(name, preset, active, arguments, widths)); }
                        catch (RefusedCombination e) { refused.Add($"{name}: {e.Message}"); }
                    }
        if (members.Any(m => m.Config.OnDivergence == DivergenceAction.Rollback))
            throw new SaeException("--on-divergence rollback: members of a sweep share their batches, so a single one "
                + "cannot skip some; leave it out (a member that diverges is recorded and the others continue), or "
                + "train it alone");
        return members.Count > 0 ? ([.. members.DistinctBy(m => m.Name)], [.. refused])
            : throw new SaeException($"no combination of this sweep is an SAE; {refused[0]}");
    }

    sealed class RefusedCombination(string message) : Exception(message);

    static SweepMember Member(string name, Preset preset, string? active, string[] arguments, int[] widths)
    {
        var settings = new Settings();
        var train = new Command("train");
        settings.AddTo(train);
        var parsed = Commands.Parse(train, arguments);
        if (parsed.Errors.Count > 0) throw new SaeException(parsed.Errors[0].Message.TrimEnd('.'));
        try
        {
            var (spec, config) = settings.Records(parsed, widths);
            SpecRules.Check(spec, config);
            return new(name, preset.Name, active is null ? null : int.Parse(active, CultureInfo.InvariantCulture),
                spec.Penalty is { } p and not SparsityPenalty.TargetL0 ? (double)(decimal)p.Coefficient : null, spec,
                config, arguments);
        }
        catch (SaeException e) { throw new RefusedCombination(e.Message); }
    }

    /// <summary>Returns k if the preset's spec depends on it, and λ if the preset has a penalty to weight.</summary>
    IEnumerable<(string? K, string? Lambda)> Sparsities(ParseResult parsed, Preset preset, int width, string n)
    {
        if (Forms.Within(n, 4, int.MaxValue) is not { } wide) return [(null, null)];      // a refused member
        var (two, four) = (preset.Make(width, wide, 2).Spec, preset.Make(width, wide, 4).Spec);
        var takesK = SaeRecords.Write(two).ToJsonString() != SaeRecords.Write(four).ToJsonString();
        var own = two.Penalty is { } penalty and not SparsityPenalty.TargetL0 ? penalty.Coefficient : (float?)null;
        var lambdas = own is { } factor ? Values(parsed, coefficient).Select(text => Lambda(text, factor)).ToArray()
            : [null];
        return (takesK ? Values(parsed, k) : [null!]).SelectMany(active =>
            lambdas.Select(lambda => ((string?)active, lambda)));
    }

    static string? Lambda(string text, float own)
    {
        var multiple = text.StartsWith('x');
        if (Forms.Within(multiple ? text[1..] : text, float.Epsilon, 1e6f) is not { } value)
            throw new SaeException($"--coefficient {text}: it is a list of positive numbers, or of multiples of each "
                + "preset's own such as x0.5,x1,x2");
        return ((float)(multiple ? (double)value * own : value)).ToString("G6", CultureInfo.InvariantCulture);
    }

    static string[] Values(ParseResult parsed, Option<string[]> axis)
    {
        var values = parsed.GetValue(axis)!.SelectMany(list => list.Split(',')).ToArray();
        return values.All(value => value.Length > 0 && !value.Any(char.IsWhiteSpace)) ? [.. values.Distinct()]
            : throw new SaeException($"{axis.Name} {string.Join(' ', parsed.GetValue(axis)!)}: "
                + "it must be values separated by commas, without blanks");
    }

    /// <summary>Returns the options as they were written, including those without a value or with several.</summary>
    static IEnumerable<string> Tokens(ParseResult parsed, Option option)
    {
        var tokens = parsed.GetResult(option)!.Tokens;
        return tokens.Count == 0 ? [option.Name] : tokens.SelectMany(token => (string[])[option.Name, token.Value]);
    }

    static Option<string[]> List(string name, string description, string standard) =>
        new(name)
        {
            Description = $"{description}; {standard} if not given", DefaultValueFactory = _ => [standard],
            AllowMultipleArgumentsPerToken = false
        };
}
