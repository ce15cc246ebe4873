using System.CommandLine;
using System.Text.Json;
using CudaSae.Lab.Harvest;

namespace CudaSae.Cli;

/// <summary>The input of a host network: its tokenizer, and a text or token ids.</summary>
sealed class HostInput
{
    readonly Option<string?> tokenizer = new("--tokenizer")
    {
        Description = "vocabulary in llama2.c's layout; needed for --text, and for the texts beside the activations"
    };
    readonly Option<string?> ids = new("--ids")
    {
        Description = ".npy of token ids: [sequences, tokens], or one stream"
    };
    readonly Option<string?> text = new("--text")
    {
        Description =
            "UTF-8 text: for the sentence encoder a sentence a line; for a language model stories with "
                + $"{Llama2.Separator} between them; or the .jsonl that harvest wrote"
    };
    readonly Option<bool> excludeBos = Options.Flag("--exclude-bos", "leave out tokens that begin a sequence");

    public Option[] All => [tokenizer, ids, text, excludeBos];

    public void AddTo(Command command)
    {
        foreach (var option in All) command.Options.Add(option);
    }

    public bool ExcludesBos(ParseResult parsed) => parsed.GetValue(excludeBos);

    public IHostModel Open(ParseResult parsed, string model) => HostModels.Open(model, parsed.GetValue(tokenizer));

    /// <summary>Path of the input file.</summary>
    public string Path(ParseResult parsed) => (parsed.GetValue(ids), parsed.GetValue(text)) switch
    {
        ({ } only, null) => only,
        (null, { } only) => only,
        _ => throw new SaeException("the model has no input; give --ids FILE.npy or --text FILE, one of the two"),
    };

    public IEnumerable<TokenSequence> Sequences(ParseResult parsed, IHostModel model)
    {
        var path = Path(parsed);
        if (parsed.GetValue(ids) is null)
            return model.Sequences(path.EndsWith(".jsonl", StringComparison.Ordinal)
                ? Harvested(path, model is Llama2 ? Llama2.Separator : "\n") : Text(path));
        return model is Llama2 llama ? TokenSequence.Read(path, model, llama.Vocabulary)
            : throw new SaeException("--ids is read for a language model; give --text");
    }

    /// <summary>Reads the texts that harvest wrote beside activations.</summary>
    static string Harvested(string path, string separator)
    {
        try
        {
            return string.Join(separator, Text(path).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line =>
            {
                using var json = JsonDocument.Parse(line);
                return json.RootElement.GetProperty("text").GetString();
            }));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new SaeException($"{path} does not have the form that harvest writes beside activations: a JSON "
                + "object with a text on each line",
                e);
        }
    }

    public static string Text(string path)
    {
        try { return File.ReadAllText(path); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e);
        }
    }
}
