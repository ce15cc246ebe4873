using CudaSae.Activations.Stores;
using CudaSae.Files;

namespace CudaSae.Lab.Harvest;

/// <summary>Tokens that a network sees together.</summary>
/// <param name="Text">What they read.</param>
sealed record TokenSequence(int[] Ids, string Text)
{
    /// <summary>Sequences of a .npy of token ids: its rows, or one of one axis cut into pieces of the longest length
    /// that the model takes.</summary>
    /// <exception cref="SaeException">It holds no whole numbers, rows too long for the model, or ids that it does not
    /// know.</exception>
    public static IEnumerable<TokenSequence> Read(string path, IHostModel model, int vocabulary)
    {
        using var file = new MappedFile(path);
        var header = NpyFile.ReadHeader(file);
        if (header.Shape.Length is < 1 or > 2)
            throw NpyFile.Bad(file,
                $"it has {header.Shape.Length} axes; token ids are [sequences, tokens] or one stream");
        var count = Shards.Count(header.Shape);
        var length = header.Shape.Length == 2 ? header.Shape[1] : Math.Min(model.MaxTokens, count);
        if (length > model.MaxTokens)
            throw new SaeException($"{path} holds sequences of {length} tokens; the model takes {model.MaxTokens}: cut "
                + "them");
        var type = header.Descr switch
        {
            "<i8" => "I64",
            "<i4" => "I32",
            "<i2" => "I16",
            "<u4" => "U32",
            "<u2" => "U16",
            var other => other
        };
        var tokens = TokenIds.Of(path, type, count, count,
            (offset, into) => file.Read(header.DataOffset + offset, into));
        if (count * TensorFile.WidthOf(type) != file.Length - header.DataOffset)
            throw NpyFile.Bad(file, "its shape does not agree with its length; it is truncated or has a tail");
        for (long first = 0; first < count; first += length)
        {
            var ids = new int[Math.Min(length, count - first)];
            for (var t = 0; t < ids.Length; t++)
                if ((uint)(ids[t] = tokens[first + t]) >= (uint)vocabulary)
                    throw new SaeException($"{path} holds token id {ids[t]} at sequence {first / length}, place {t}; "
                        + $"the model knows {vocabulary}");
            yield return new(ids, model.Decode(ids));
        }
    }
}

/// <summary>Sequences one after another, each made when it is asked for.</summary>
sealed class SequenceQueue(IEnumerable<TokenSequence> sequences) : IDisposable
{
    readonly IEnumerator<TokenSequence> rest = sequences.GetEnumerator();
    TokenSequence? next;

    /// <summary>The next one, which stays.</summary>
    public bool TryPeek([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TokenSequence? sequence)
    {
        if (next is null && rest.MoveNext()) next = rest.Current;
        return (sequence = next) is not null;
    }

    /// <summary>Takes the one that was peeked at.</summary>
    public void Advance() => next = null;

    /// <summary>Takes up to that many.</summary>
    public List<TokenSequence> Take(long count)
    {
        var taken = new List<TokenSequence>();
        for (; taken.Count < count && TryPeek(out var sequence); Advance()) taken.Add(sequence);
        return taken;
    }

    public void Dispose() => rest.Dispose();
}
