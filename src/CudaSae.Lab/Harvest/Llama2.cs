using CudaSae.Numerics;

namespace CudaSae.Lab.Harvest;

/// <summary>A causal language model in llama2.c's layout (Karpathy 2023; the architecture of Touvron et al. 2023, arXiv
/// 2307.09288): RMSNorm before each half of a block, rotary
/// positions, heads that share keys (Ainslie et al. 2023, arXiv 2305.13245), SwiGLU. Products run through the CPU
/// backend's dense kernel, so every machine gets the same bits of them.</summary>
sealed unsafe class Llama2 : ILanguageModel
{
    const float Epsilon = 1e-5f;

    readonly Llama2Weights weights;
    readonly Llama2Tokenizer? tokenizer;
    readonly Linear linear = new();
    readonly string[][] names;          // of each block's sites, in order
    Buffers? buffers;

    /// <param name="model">File of weights.</param>
    /// <param name="tokenizer">File of the vocabulary; null where only ids are read.</param>
    /// <exception cref="SaeException">A file is missing, damaged, or of another vocabulary than the other.</exception>
    public Llama2(string model, string? tokenizer = null)
        : this(new Llama2Weights(model), tokenizer is null ? null : new Llama2Tokenizer(tokenizer), tokenizer ?? "") { }

    internal Llama2(Llama2Weights weights, Llama2Tokenizer? tokenizer, string path)
    {
        (this.weights, this.tokenizer) = (weights, tokenizer);
        names = [.. Enumerable.Range(0, weights.Layers).Select(i => SiteNames.Select(name => $"{name}{i}").ToArray())];
        int[] widths = [weights.Width, weights.Width, weights.Width, weights.Width, weights.Hidden, weights.Width,
            weights.Width];
        Sites = [.. names.SelectMany(block => block.Select((name, i) => new Site(name, widths[i])))];
        if (tokenizer is null || tokenizer.Pieces.Count == weights.Vocabulary) return;
        Dispose();
        throw new SaeException($"{path} holds {tokenizer.Pieces.Count} pieces, the model's vocabulary is "
            + $"{weights.Vocabulary}; name the model's own tokenizer");
    }

    static readonly string[] SiteNames = ["resid_pre", "attn_out", "resid_mid", "mlp_in", "mlp_hidden", "mlp_out",
        "resid_post"];

    public string Name =>
        $"llama2: {weights.Layers} blocks of width {weights.Width}, {weights.Heads} heads, {weights.KeyHeads} of keys, "
            + $"vocabulary {weights.Vocabulary}";
    public IReadOnlyList<Site> Sites { get; }
    public int MaxTokens => weights.Context;
    public int Vocabulary => weights.Vocabulary;
    public int? Bos => Llama2Tokenizer.Bos;
    public IReadOnlyList<string> Pieces => tokenizer?.Pieces ?? [];

    /// <summary>Stories apart, as TinyStories' files separate them.</summary>
    public const string Separator = "<|endoftext|>";

    /// <summary>Each text between separators, trimmed, begins with BOS; what is longer than the context goes on behind
    /// a BOS of its own.</summary>
    public IEnumerable<TokenSequence> Sequences(string text)
    {
        var vocabulary = tokenizer
            ?? throw new SaeException("a text was given without the model's tokenizer; name it with --tokenizer");
        foreach (var story in text.Split(Separator,
            StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            foreach (var part in vocabulary.Encode(story).Skip(1).Chunk(Math.Max(1, MaxTokens - 1)))
            {
                int[] ids = [Llama2Tokenizer.Bos, .. part];
                yield return new(ids, vocabulary.Decode(ids));
            }
    }

    public string Decode(ReadOnlySpan<int> ids) => tokenizer?.Decode(ids) ?? "";

    /// <inheritdoc/>
    public void Run(ReadOnlySpan<int> ids, Action<string, Matrix> hook)
    {
        if (ids.Length < 1 || ids.Length > MaxTokens)
            throw new SaeException($"a sequence of {ids.Length} tokens; the model takes 1 to {MaxTokens}");
        if (buffers is null || buffers.Tokens < ids.Length)
        {
            buffers?.Dispose();
            buffers = new(weights, ids.Length);
        }
        for (var t = 0; t < ids.Length; t++)
        {
            if ((uint)ids[t] >= (uint)Vocabulary)
                throw new SaeException($"token id {ids[t]} at place {t}; the model knows {Vocabulary}");
            weights.Embedding[ids[t]].CopyTo(buffers.Residual[t]);
        }
        for (var layer = 0; layer < weights.Layers; layer++) Block(layer, ids.Length, hook);
    }

    /// <inheritdoc/>
    public Matrix Logits(ReadOnlySpan<int> ids, Action<string, Matrix> hook)
    {
        Run(ids, hook);
        Normalize(buffers!.Residual, ids.Length, weights.FinalNorm[0], buffers.Normal);
        buffers.Logits ??= new(buffers.Tokens, Vocabulary);
        linear.Multiply(buffers.Normal, ids.Length, weights.Classifier.Data, buffers.Logits);
        return buffers.Logits;
    }

    void Block(int layer, int tokens, Action<string, Matrix> hook)
    {
        var (b, name, d) = (buffers!, names[layer], (long)weights.Width);
        hook(name[0], b.Residual);
        Normalize(b.Residual, tokens, weights.AttentionNorm[layer], b.Normal);
        Attend(layer, tokens);
        linear.Multiply(b.Mixed, tokens, weights.Output.Data + layer * d * d, b.Next);
        hook(name[1], b.Next);
        AddInto(b.Residual, b.Next, tokens);
        hook(name[2], b.Residual);

        Normalize(b.Residual, tokens, weights.MlpNorm[layer], b.Normal);
        hook(name[3], b.Normal);
        linear.Multiply(b.Normal, tokens, weights.Gate.Data + layer * weights.Hidden * d, b.Hidden);
        linear.Multiply(b.Normal, tokens, weights.Up.Data + layer * weights.Hidden * d, b.Up);
        for (long i = 0, count = (long)tokens * weights.Hidden; i < count; i++)
            b.Hidden.Data[i] = b.Hidden.Data[i] / (1 + MathF.Exp(-b.Hidden.Data[i])) * b.Up.Data[i];
        hook(name[4], b.Hidden);
        linear.Multiply(b.Hidden, tokens, weights.Down.Data + layer * d * weights.Hidden, b.Next);
        hook(name[5], b.Next);
        AddInto(b.Residual, b.Next, tokens);
        hook(name[6], b.Residual);
    }

    static void AddInto(Matrix to, Matrix from, int tokens)
    {
        for (long i = 0, count = (long)tokens * to.Columns; i < count; i++) to.Data[i] += from.Data[i];
    }

    /// <summary>x / √(mean x² + ε) · scale, the mean in double.</summary>
    static void Normalize(Matrix from, int tokens, ReadOnlySpan<float> scale, Matrix to)
    {
        for (var t = 0; t < tokens; t++)
        {
            Span<float> row = from[t], normal = to[t];
            double squares = 0;
            foreach (var v in row) squares += (double)v * v;
            var factor = 1 / Math.Sqrt(squares / row.Length + Epsilon);
            for (var i = 0; i < row.Length; i++) normal[i] = (float)(row[i] * factor * scale[i]);
        }
    }

    /// <summary>Each token looks at those up to itself. Keys and values lie transposed, so that lanes run along tokens
    /// whatever a head's width.</summary>
    void Attend(int layer, int tokens)
    {
        var b = buffers!;
        int d = weights.Width, head = weights.HeadWidth, keys = weights.KeyWidth,
            share = weights.Heads / weights.KeyHeads;
        linear.Multiply(b.Normal, tokens, weights.Query.Data + (long)layer * d * d, b.Query);
        linear.MultiplyTransposed(b.Normal, tokens, weights.Key.Data + (long)layer * keys * d, b.Key);
        linear.MultiplyTransposed(b.Normal, tokens, weights.Value.Data + (long)layer * keys * d, b.Value);
        Rotate(tokens);
        var scale = 1 / MathF.Sqrt(head);
        float* scores = b.Scores.Data;
        for (var h = 0; h < weights.Heads; h++)
        {
            float* key = b.Key.Data + (long)(h / share) * head * b.Key.Columns, value = b.Value.Data
                + (long)(h / share) * head * b.Value.Columns;
            for (var t = 0; t < tokens; t++)
            {
                var room = (t + 16) / 16 * 16;
                float* query = b.Query.Data + (long)t * d + h * head, mixed = b.Mixed.Data + (long)t * d + h * head;
                new Span<float>(scores, room).Clear();
                for (var i = 0; i < head; i++) Rows.Add(scores, scale * query[i], key + (long)i * b.Key.Columns, room);
                var sum = Softmax(new(scores, room), t + 1);
                for (var i = 0; i < head; i++)
                    mixed[i] = Rows.Dot(scores, value + (long)i * b.Value.Columns, room) / sum;
            }
        }
    }

    /// <summary>Exponentials of the first <paramref name="count"/> scores, zeros behind them.</summary>
    /// <returns>Their sum.</returns>
    static float Softmax(Span<float> scores, int count)
    {
        var (largest, sum) = (float.NegativeInfinity, 0.0);
        foreach (var s in scores[..count]) largest = MathF.Max(largest, s);
        foreach (ref var s in scores[..count]) sum += s = MathF.Exp(s - largest);
        scores[count..].Clear();
        return (float)sum;
    }

    /// <summary>Turns each pair of neighbouring numbers of queries and keys by its token's angle, as the file's tables
    /// have it.</summary>
    void Rotate(int tokens)
    {
        var b = buffers!;
        var half = weights.HeadWidth / 2;
        for (var t = 0; t < tokens; t++)
        {
            ReadOnlySpan<float> cosine = weights.Cosine[t], sine = weights.Sine[t];
            var query = b.Query[t];
            for (var pair = 0; pair < query.Length / 2; pair++)
            {
                var (c, s, x, y) = (cosine[pair % half], sine[pair % half], query[2 * pair], query[2 * pair + 1]);
                (query[2 * pair], query[2 * pair + 1]) = (x * c - y * s, x * s + y * c);
            }
            for (var pair = 0; pair < weights.KeyWidth / 2; pair++)
            {
                ref float x = ref b.Key[2 * pair][t], y = ref b.Key[2 * pair + 1][t];
                var (c, s) = (cosine[pair % half], sine[pair % half]);
                (x, y) = (x * c - y * s, x * s + y * c);
            }
        }
    }

    public void Dispose()
    {
        weights.Dispose();
        linear.Dispose();
        buffers?.Dispose();
    }

    /// <summary>What a run of up to so many tokens writes.</summary>
    sealed class Buffers(Llama2Weights w, int tokens) : IDisposable
    {
        public int Tokens { get; } = tokens;
        public Matrix Residual { get; } = new(tokens, w.Width);
        public Matrix Normal { get; } = new(tokens, w.Width);
        public Matrix Next { get; } = new(tokens, w.Width);
        public Matrix Query { get; } = new(tokens, w.Width);
        public Matrix Mixed { get; } = new(tokens, w.Width);
        public Matrix Key { get; } = new(w.KeyWidth, DenseProduct.Padded(tokens));
        public Matrix Value { get; } = new(w.KeyWidth, DenseProduct.Padded(tokens));
        public Matrix Scores { get; } = new(1, DenseProduct.Padded(tokens));
        public Matrix Hidden { get; } = new(tokens, w.Hidden);
        public Matrix Up { get; } = new(tokens, w.Hidden);
        public Matrix? Logits { get; set; }

        public void Dispose()
        {
            foreach (var matrix in (Matrix?[])[Residual, Normal, Next, Query, Mixed, Key, Value, Scores, Hidden, Up,
                Logits])
                matrix?.Dispose();
        }
    }
}
