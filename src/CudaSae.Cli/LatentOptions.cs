using System.CommandLine;
using CudaSae.Lab.Harvest;
using CudaSae.Lab.Insight.Contexts;

namespace CudaSae.Cli;

/// <summary>Options that select what a report shows about single latents.</summary>
static class LatentOptions
{
    const long DefaultRows = 32768;
    const string Panel = "latents", Title = "Single latents";

    static readonly Option<bool> Without = Options.Flag("--no-latents", "leave out the pages of single latents");
    static readonly Option<int?> Contexts =
        Options.Optional("--contexts",
        "strongest rows shown for each latent; 8, or fewer for more than 16384 latents, if not given", 1, int.MaxValue);
    static readonly Option<long> ContextRows =
        Options.New("--context-rows",
            "training rows that contexts are taken from; 0 for the rows of the other chapters", DefaultRows, 0L,
            long.MaxValue);
    static readonly Option<string?> Vocabulary = new("--vocab")
    {
        Description = "vocab.json, tokenizer.json or llama2.c's tokenizer.bin: texts of the token ids beside the data"
    };
    static readonly Option<int?> Bos =
        Options.Optional("--bos", "token id that begins every sequence", 0, int.MaxValue);
    static readonly Option<int> Length =
        Options.New("--context-length", "rows of each sequence, if all have the same number; 0 for unknown", 0, 0,
        int.MaxValue);

    public static void AddTo(Command command)
    {
        foreach (var option in (Option[])[Without, Contexts, ContextRows, Vocabulary, Bos, Length]) command.Add(option);
    }

    /// <summary>Returns the blob from which the page draws latents; null if they are left out or there are too
    /// many.</summary>
    public static ReportPiece? Piece(Sae sae, ReportSubject subject, ParseResult parsed)
    {
        if (parsed.GetValue(Without)) return null;
        if (sae.Latents > LatentPages.MaxLatents)
        {
            StyledText.Line($"[yellow]no pages of single latents: the SAE has {sae.Latents} latents, ",
                $"more than {LatentPages.MaxLatents}[/]");
            return null;
        }
        var (rows, length) = (parsed.GetValue(ContextRows), parsed.GetValue(Length));
        var texts = new TextOptions
        {
            Pieces = parsed.GetValue(Vocabulary) is { } path ? Pieces(path) : null, BosId = parsed.GetValue(Bos),
            ContextLength = length
        };
        var (source, options) =
            (subject.ContextRows(rows), new LatentPageOptions { Contexts = parsed.GetValue(Contexts), Texts = texts });
        if (source != subject.Rows)
            return new(Title, [], (parts, _) => parts.Blobs[Panel] = LatentPages.Collect(sae, source, options));
        var collector = LatentPages.Collector(sae, source, options);
        return new(Title, [collector],
            (parts, leftOut) => parts.Blobs[Panel] = LatentPages.Finish(sae, source, collector, options, leftOut));
    }

    static ITokenPieces Pieces(string path) =>
        Path.GetExtension(path) == ".bin" ? new PieceList(new Llama2Tokenizer(path).Pieces) : new VocabularyFile(path);
}
