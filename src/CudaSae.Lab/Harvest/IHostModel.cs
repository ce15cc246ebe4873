using CudaSae.Numerics;
using CudaSae.Text;

namespace CudaSae.Lab.Harvest;

/// <summary>A site of a network: its name (resid_post2 is the residual stream after block 2) and its width.</summary>
readonly record struct Site(string Name, int Width);

/// <summary>A network whose activations can be read and replaced. One thread at a time.</summary>
interface IHostModel : IDisposable
{
    /// <summary>A description in one line.</summary>
    string Name { get; }

    /// <summary>The sites whose activations can be read, in the order of computation.</summary>
    IReadOnlyList<Site> Sites { get; }

    /// <summary>The maximum number of tokens of a sequence.</summary>
    int MaxTokens { get; }

    /// <summary>The token that begins every sequence; null if there is none.</summary>
    int? Bos { get; }

    /// <summary>The pieces of the vocabulary by id, as readable text; empty without a tokenizer.</summary>
    IReadOnlyList<string> Pieces { get; }

    /// <summary>Cuts a text into sequences as this network reads it, each of at most <see cref="MaxTokens"/>.</summary>
    /// <exception cref="SaeException">The network has no tokenizer.</exception>
    IEnumerable<TokenSequence> Sequences(string text);

    /// <summary>The text of a sequence of ids.</summary>
    string Decode(ReadOnlySpan<int> ids);

    /// <summary>Runs a sequence.</summary>
    /// <param name="ids">1 to <see cref="MaxTokens"/> token ids.</param>
    /// <param name="hook">Receives every site, in order. The first rows of its matrix are the activations of the
    /// tokens. The network continues with what the hook writes there.</param>
    void Run(ReadOnlySpan<int> ids, Action<string, Matrix> hook);
}

/// <summary>A network that predicts the next token.</summary>
interface ILanguageModel : IHostModel
{
    /// <summary>The logits [tokens, vocabulary] in the first rows of a matrix, which are valid until the next
    /// run.</summary>
    Matrix Logits(ReadOnlySpan<int> ids, Action<string, Matrix> hook);
}

/// <summary>A network that gives one vector for a whole sequence.</summary>
interface ISentenceEncoder : IHostModel
{
    /// <summary>The sequence's embedding, of unit length.</summary>
    float[] Embedding(ReadOnlySpan<int> ids, Action<string, Matrix> hook);
}

/// <summary>Opens networks.</summary>
static class HostModels
{
    /// <param name="path">A file in llama2.c's layout, or the folder of Universal Sentence Encoder Lite.</param>
    /// <param name="tokenizer">The tokenizer of a llama2.c model; null if only ids are read.</param>
    /// <exception cref="SaeException">The path is neither, or is damaged.</exception>
    public static IHostModel Open(string path, string? tokenizer = null)
    {
        if (!Directory.Exists(path)) return new Llama2(path, tokenizer);
        return tokenizer is null ? new UseLite(path)
            : throw new SaeException($"--tokenizer {tokenizer}: the encoder in {path} has a tokenizer; leave the "
                + "option out");
    }

    /// <summary>The site with a name.</summary>
    /// <exception cref="SaeException">The network does not have it.</exception>
    public static Site Site(this IHostModel model, string name)
    {
        foreach (var site in model.Sites)
            if (site.Name == name) return site;
        throw new SaeException($"there is no site {name}{Names.Hint(name, model.Sites.Select(s => s.Name))}; one of "
            + $"{string.Join(", ", model.Sites.Select(s => s.Name))}");
    }

    /// <summary>The piece of an id as readable text, or the id if the network has no tokenizer.</summary>
    public static string Piece(this IHostModel model, int id) => model.Pieces.Count > 0 ? model.Pieces[id] : $"<{id}>";
}
