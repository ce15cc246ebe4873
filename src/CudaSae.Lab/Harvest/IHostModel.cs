using CudaSae.Numerics;
using CudaSae.Text;

namespace CudaSae.Lab.Harvest;

/// <summary>A place in a network: its name (resid_post2 is the residual stream after block 2), and numbers a
/// token.</summary>
readonly record struct Site(string Name, int Width);

/// <summary>A network whose activations can be read and replaced. One thread at a time.</summary>
interface IHostModel : IDisposable
{
    /// <summary>One line for people.</summary>
    string Name { get; }

    /// <summary>Where its activations can be read, in the order in which they come up.</summary>
    IReadOnlyList<Site> Sites { get; }

    /// <summary>Tokens of the longest sequence.</summary>
    int MaxTokens { get; }

    /// <summary>The token that begins every sequence; null without one.</summary>
    int? Bos { get; }

    /// <summary>The vocabulary's pieces by id, for people; empty without a tokenizer.</summary>
    IReadOnlyList<string> Pieces { get; }

    /// <summary>A text cut into sequences as this network reads it, none longer than <see cref="MaxTokens"/>.</summary>
    /// <exception cref="SaeException">There is no tokenizer.</exception>
    IEnumerable<TokenSequence> Sequences(string text);

    /// <summary>What a sequence of ids reads.</summary>
    string Decode(ReadOnlySpan<int> ids);

    /// <summary>Runs a sequence.</summary>
    /// <param name="ids">1 to <see cref="MaxTokens"/> token ids.</param>
    /// <param name="hook">Gets every site, in order: the first rows of its matrix are the tokens' activations. The
    /// network continues with what the hook wrote there.</param>
    void Run(ReadOnlySpan<int> ids, Action<string, Matrix> hook);
}

/// <summary>A network that predicts the next token.</summary>
interface ILanguageModel : IHostModel
{
    /// <summary>Logits [tokens, vocabulary] in the first rows of a matrix that the next run overwrites.</summary>
    Matrix Logits(ReadOnlySpan<int> ids, Action<string, Matrix> hook);
}

/// <summary>A network that gives a whole sequence one vector.</summary>
interface ISentenceEncoder : IHostModel
{
    /// <summary>The sequence's embedding, of unit length.</summary>
    float[] Embedding(ReadOnlySpan<int> ids, Action<string, Matrix> hook);
}

/// <summary>The networks that are read.</summary>
static class HostModels
{
    /// <param name="path">A file in llama2.c's layout, or the folder of Universal Sentence Encoder Lite.</param>
    /// <param name="tokenizer">Of a llama2.c model; null where only ids are read.</param>
    /// <exception cref="SaeException">It is neither, or damaged.</exception>
    public static IHostModel Open(string path, string? tokenizer = null)
    {
        if (!Directory.Exists(path)) return new Llama2(path, tokenizer);
        return tokenizer is null ? new UseLite(path)
            : throw new SaeException($"--tokenizer {tokenizer}: the encoder in {path} brings its own; leave it out");
    }

    /// <summary>The site of that name.</summary>
    /// <exception cref="SaeException">There is none.</exception>
    public static Site Site(this IHostModel model, string name)
    {
        foreach (var site in model.Sites)
            if (site.Name == name) return site;
        throw new SaeException($"there is no site {name}{Names.Hint(name, model.Sites.Select(s => s.Name))}; one of "
            + $"{string.Join(", ", model.Sites.Select(s => s.Name))}");
    }

    /// <summary>The piece of an id for people, its number where there is no tokenizer.</summary>
    public static string Piece(this IHostModel model, int id) => model.Pieces.Count > 0 ? model.Pieces[id] : $"<{id}>";
}
