using System.CommandLine;
using CudaSae.Formats;
using CudaSae.Lab.Insight.Probes;
using CudaSae.Lab.Report;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae probe measures how well an SAE's latents predict the labels of rows.</summary>
static class ProbeCommand
{
    static readonly ProbeOptions Default = new();

    public static Command Create()
    {
        var run = new Argument<string>("sae")
        {
            Description = "file or folder of an SAE, of any layout that convert reads"
        };
        var data = new Argument<string[]>("data") { Description = "activation files", Arity = ArgumentArity.OneOrMore };
        var labels = new Option<string>("--labels")
        {
            Description = ".npy or .csv: answers of every row (docs/guide/probes.md)", Required = true
        };
        var classes = new Option<string?>("--classes")
        {
            Description = "names of the classes in their order, separated by commas"
        };
        var k = Options.New("--k", "numbers of latents of the sparse probes, separated by commas; 0 for none",
            string.Join(',', Default.K));
        var logistic = Options.Flag("--logistic", "fit a logistic probe on the raw activations too");
        var l2 = Options.New("--l2", "λ of the regressions, on standardised columns and the mean log loss", Default.L2,
            0, 1e12);
        var grid = new Option<string?>("--grid") { Description = "HxW: the questions are squares of a board" };
        var rows = Options.Optional("--rows", "probe the first rows only", 2, int.MaxValue);
        var block = Options.New("--block", "rows that the split in halves keeps together", Default.BlockRows, 1,
            int.MaxValue);
        var seed = Options.New("--seed", "seed of the split", Default.Seed);
        var memory = Options.New("--memory", "MiB: for codes, for predictions, and for raw activations, each",
            Default.Memory >> 20, 1, 1L << 40);
        var beside = Beside.Option(severalEach: true);
        var tensor = DataOptions.Tensor();
        var output = new Option<string?>("--out")
        {
            Description = "folder of the report's figures [default: the SAE's folder]"
        };
        var backend = Settings.NewBackend("where to compute; auto takes a GPU if there is one");
        var command = new Command("probe",
            "Probe the latents of an SAE for labels: AUROC, F1 and sparse probes.") { run,
            data, labels, classes, k, logistic, l2, grid, rows, block, seed, memory, beside, tensor, output, backend };
        var kind = new KindOption();
        kind.AddTo(command);
        command.SetAction(parsed =>
        {
            var options = new ProbeOptions
            {
                K = Numbers(parsed.GetValue(k)!), Logistic = parsed.GetValue(logistic), L2 = parsed.GetValue(l2),
                BlockRows = parsed.GetValue(block), Seed = parsed.GetValue(seed), Memory =
                    parsed.GetValue(memory) << 20,
            };
            if (!(options.L2 > 0))
                throw new SaeException($"--l2 {options.L2} has no single solution; choose a number above 0");
            var folder = parsed.GetValue(output) ?? SaePath.Folder(parsed.GetValue(run)!);
            RunFolder.RequireFree(folder);
            using var source =
                DataOptions.Open(parsed.GetValue(data)!, "0", parsed.GetValue(tensor), parsed.GetValue(beside));
            var model = SaeModel.Load(parsed.GetValue(run)!, kind.Of(parsed));
            Beside.Check(parsed.GetValue(run)!, model.Spec, source.Names.Data, source.Names.Beside, source.Widths);
            var answers = ReadLabels(parsed.GetValue(labels)!, source.Source.Rows, parsed.GetValue(rows),
                parsed.GetValue(classes));
            var board = Grid(parsed.GetValue(grid), answers);
            using var sae = new Sae(model, parsed.GetValue(backend), SaeRows.BatchRows(answers.Rows));
            StyledText.Line($"[bold]{sae.Description}[/]: {sae.Latents} latents, {answers.Rows} rows, ",
                $"{answers.Properties.Count} properties of {answers.Questions.Count} questions");
            var findings = ProbeRun.Run(sae, source.Source, answers, options);
            var command = $"cudasae {string.Join(' ', Environment.GetCommandLineArgs().Skip(1))}";
            RunFolder.Add(folder, ProbeChapter.Of(findings, board, command));
            EvaluationTable.PrintLine(findings.Evaluation!, sae.Spec);
            ProbeTable.Print(findings);
            StyledText.Line($"Figures in [bold]{Path.Combine(folder, Chapter.FolderName, "probes.json")}[/]");
            return 0;
        });
        return command;
    }

    static Labels ReadLabels(string path, long rows, int? first, string? classes)
    {
        if (first is < 2 || first > rows)
            throw new SaeException($"--rows {first} is out of range: it must be 2 to {rows}");
        var labels = Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".npy" => NpyLabels.Read(path, rows),
            ".csv" => CsvLabels.Read(path, rows),
            _ => throw new SaeException($"{path} is neither .npy nor .csv; labels are read from these"),
        };
        if (first is { } count) labels = labels.Take(count);
        return classes is null ? labels : labels.Named(classes.Split(','));
    }

    static int[] Numbers(string text)
    {
        int[] ks = [.. text.Split(',').Select(t => Forms.Within(t, 0, 1024)
            ?? throw new SaeException($"--k {text} is not a list of numbers up to 1024, such as 1,2,5,10"))
            .Distinct().Order()];
        return ks is [0] ? [] : ks[0] > 0 ? ks
            : throw new SaeException($"--k {text} includes a probe on 0 latents; leave the 0 out, or give 0 alone for "
                + "no probes");
    }

    static (int Height, int Width)? Grid(string? text, Labels labels)
    {
        if (text is null) return labels.Grid;
        var parts = text.Split('x');
        if (parts.Length != 2 || Forms.Within(parts[0], 1, int.MaxValue) is not { } height
            || Forms.Within(parts[1], 1, int.MaxValue) is not { } width
            || (long)height * width != labels.Questions.Count)
            throw new SaeException($"--grid {text} is not a board of {labels.Questions.Count} squares, one a question; "
                + "for example 8x8 for 64");
        return (height, width);
    }
}
