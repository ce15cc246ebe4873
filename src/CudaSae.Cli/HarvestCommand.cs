using System.CommandLine;
using CudaSae.Harvest;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>cudasae harvest use-lite: activations of a real transformer on a text.</summary>
static class HarvestCommand
{
    public static Command Create()
    {
        var text = new Option<string>("--text") { Description = "UTF-8 text, one sentence a line", Required = true };
        var output = new Option<string>("--out") { Description = ".npy to write; a .jsonl with the sentences and tokens goes beside it", Required = true };
        var heldOut = new Option<string?>("--held-out") { Description = "second .npy, from sentences that follow those of the first" };
        var model = Settings.New("--model", "folder with model.json, its shards and vocab.json", "artifacts/use-lite");
        var site = Settings.New("--site", $"where: {string.Join(", ", UseLite.Sites)}", "resid_post0");
        var rows = Settings.New("--rows", "tokens to write, in whole sentences", 16_384L);
        var heldRows = Settings.New("--held-out-rows", "tokens of the second file", 2_048L);
        var useLite = new Command("use-lite", "Universal Sentence Encoder Lite (fetch it with build/fetch-use-lite.sh).") { text, output, heldOut, model, site, rows, heldRows };
        useLite.SetAction(parsed =>
        {
            using var encoder = new UseLite(parsed.GetValue(model)!);
            var harvester = new Harvester(encoder, parsed.GetValue(site)!);
            var sentences = Sentences(parsed.GetValue(text)!);
            Say(harvester.Write(sentences, parsed.GetValue(rows), parsed.GetValue(output)!), parsed.GetValue(output)!);
            if (parsed.GetValue(heldOut) is { } second) Say(harvester.Write(sentences, parsed.GetValue(heldRows), second), second);
            return 0;
        });
        return new Command("harvest", "Write activations of a model on a text, or on images.") { useLite, HarvestClassifierCommand.Create() };
    }

    /// <summary>Distinct lines, in order, so that no sentence falls on both sides of the split.</summary>
    static Queue<string> Sentences(string path)
    {
        try { return new(File.ReadLines(path).Select(line => line.Trim()).Where(line => line.Length > 0).Distinct()); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e); }
    }

    static void Say(long rows, string path) => AnsiConsole.MarkupLineInterpolated($"{rows} rows of {UseLite.Width} in [bold]{path}[/]");
}
