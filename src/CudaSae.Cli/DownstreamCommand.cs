using System.CommandLine;
using System.Globalization;
using CudaSae.Backends;
using CudaSae.Formats;
using CudaSae.Lab.Downstream;
using CudaSae.Lab.Harvest;
using CudaSae.Numerics;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae eval --model splices SAEs into the network that their activations come from.</summary>
sealed class DownstreamCommand
{
    readonly HostInput input = new();
    readonly Option<string?> model = new("--model")
    {
        Description =
            "network to splice into: weights in llama2.c's first layout, or the folder of the sentence encoder"
    };
    readonly Option<string[]> site = new("--site")
    {
        Description = "site in the network, with --model: one for all SAEs, or one each",
        AllowMultipleArgumentsPerToken = true
    };
    readonly Option<string[]> saes = new("--sae")
    {
        Description = "SAEs to splice in, with --model; several are compared", AllowMultipleArgumentsPerToken = true
    };
    readonly Option<long> sequences =
        Options.New("--sequences", "most sequences to read, with --model", long.MaxValue, 1L, long.MaxValue);
    readonly Option<long> skip =
        Options.New("--skip", "sequences to skip first, with --model", 0L, 0L, long.MaxValue);
    readonly Option<string?> json = new("--json") { Description = "write the metrics to this file, with --model" };
    readonly Option<string?> output = new("--out")
    {
        Description =
            "folder whose figures/ receives the chapter of a report, with --model; the SAE's folder for a single SAE"
    };

    public void AddTo(Command command)
    {
        input.AddTo(command);
        foreach (var option in (Option[])[model, site, saes, sequences, skip, json, output])
            command.Options.Add(option);
    }

    /// <summary>Whether the command line selects this mode.</summary>
    /// <exception cref="SaeException">An option of this mode stands without --model.</exception>
    public bool IsAsked(ParseResult parsed)
    {
        if (parsed.GetValue(model) is not null) return true;
        var given = input.All.Concat([site, saes, sequences, skip, json, output])
            .FirstOrDefault(option => Settings.Given(parsed, option));
        return given is null ? false
            : throw new SaeException($"{given.Name} needs --model, the network to splice into");
    }

    /// <param name="run">An SAE that is named without --sae.</param>
    public int Run(ParseResult parsed, string? run, BackendKind backend, SaeKind? kind)
    {
        var paths = parsed.GetValue(saes) is { Length: > 0 } named ? named
            : [run ?? throw new SaeException("no SAE is named; name one with --sae")];
        var folder = parsed.GetValue(output) ?? (paths.Length == 1 && Directory.Exists(paths[0]) ? paths[0] : null);
        if (folder is not null) RunFolder.RequireFree(folder);
        var sites = parsed.GetValue(site) ?? [];
        if (sites.Length != 1 && sites.Length != paths.Length)
            throw new SaeException($"{sites.Length} sites for {paths.Length} SAEs; give one --site for all, or one "
                + "each");
        using var host = input.Open(parsed, parsed.GetValue(model)!);
        foreach (var name in sites) host.Site(name);
        using var queue = new SequenceQueue(input.Sequences(parsed, host));
        for (var i = 0L; i < parsed.GetValue(skip) && queue.TryPeek(out _); i++) queue.Advance();
        var taken = queue.Take(parsed.GetValue(sequences));
        StyledText.Line($"[bold]{host.Name}[/]; {taken.Count} sequences of ",
            $"{input.Path(parsed)}{(input.ExcludesBos(parsed) ? ", without BOS" : "")}");
        var (results, members) = (new List<DownstreamResult>(), new Members());
        for (var i = 0; i < paths.Length; i++)
        {
            var (path, at) = (paths[i], sites[sites.Length == 1 ? 0 : i]);
            void Add()
            {
                using var sae = Sae.Load(path, backend, readAs: kind);
                results.Add(Evaluate(host, sae, path, at, taken, input.ExcludesBos(parsed)));
            }
            if (paths.Length > 1) members.Try(path, Add, Members.IsOfFile);
            else Add();
        }
        if (results.Count == 0) return members.ExitCode;
        if (paths.Length == 1) Print(results[0]);
        else Print(results, members);
        if (parsed.GetValue(json) is { } file) DownstreamResult.Write(file, results);
        Save(results, folder);
        return members.ExitCode;
    }

    static DownstreamResult Evaluate(IHostModel host, Sae sae, string path, string site, List<TokenSequence> sequences,
        bool excludeBos) =>
        host switch
        {
            ILanguageModel language => LanguageModelEval.Run(language, sae, path, site, sequences, excludeBos),
            ISentenceEncoder encoder when !excludeBos => SentenceEncoderEval.Run(encoder, sae, path, site, sequences),
            _ =>
                throw new SaeException("--exclude-bos: the sentence encoder has no token that begins a sequence; "
                    + "leave it out"),
        };

    static void Save(List<DownstreamResult> results, string? folder)
    {
        if (folder is null) return;
        var chapter = results.Count == 1 ? DownstreamComparison.Of(results[0]) : DownstreamComparison.Of(results);
        var command = $"cudasae {string.Join(' ', Environment.GetCommandLineArgs().Skip(1))}";
        RunFolder.Add(folder, chapter with { Command = command });
        StyledText.Line($"A chapter of the report is in ",
            $"[bold]{Path.Combine(folder, Lab.Report.Chapter.FolderName)}[/]");
    }

    static string Text(double value, string format = "0.#####") =>
        Ratio.Text(double.IsNaN(value) ? null : value, format, CultureInfo.InvariantCulture);

    static void Print(DownstreamResult result)
    {
        var table = new Table().AddColumn(Markup.Escape($"{result.Kind} at {result.Site}"))
            .AddColumn(new TableColumn("value").RightAligned()).AddColumn("formula");
        foreach (var group in result.Metrics.GroupBy(m => m.Group))
        {
            table.AddRow($"[dim]{Markup.Escape(group.Key)}[/]", "", "");
            foreach (var metric in group)
                table.AddRow(Markup.Escape(metric.Name), Text(metric.Value), Markup.Escape(metric.Formula));
        }
        AnsiConsole.Write(table);
    }

    static void Print(List<DownstreamResult> results, Members members)
    {
        string[] shown = ["l0", "explained_variance",
            .. results[0].Metrics.Where(m => m.Name is "ce_loss_with_sae" or "ce_loss_score"
                or "ce_loss_score_mean_ablation" or "kl_div_score" or "embedding_cosine_with_sae"
                or "embedding_cosine_score" or "embedding_cosine_score_mean_ablation").Select(m =>
                m.Name)];
        var table = new Table().AddColumns("SAE", "site", "kind");
        foreach (var name in shown) table.AddColumn(new TableColumn(name).RightAligned());
        foreach (var r in results)
        {
            var name = Markup.Escape(Path.GetFileName(Path.TrimEndingDirectorySeparator(r.Sae)));
            table.AddRow([name, r.Site, r.Kind, .. shown.Select(metric => Text(r[metric], "0.0000"))]);
        }
        foreach (var (name, _) in members.Refused) table.AddRow(Markup.Escape(SaePath.Name(name)), "", "refused");
        AnsiConsole.Write(table);
    }
}
