using CudaSae.Testing.Bytes;

namespace CudaSae.Testing.Problems;

/// <summary>The forward pass of llama2.c's models as scalar loops in double.</summary>
sealed class Llama2Reference(Llama2Bytes shape)
{
    readonly Dictionary<string, float[]> weights = shape.Tensors().ToDictionary(t => t.Name, t => t.Values);

    /// <summary>Every site's activations of the last run, [tokens][width].</summary>
    public Dictionary<string, double[][]> Sites { get; } = [];

    public double[][] Logits(int[] ids)
    {
        double[][] x = [.. ids.Select(id => Row("embedding", id, shape.Width))];
        for (var layer = 0; layer < shape.Layers; layer++)
        {
            Keep("resid_pre", layer, x);
            var attended = Keep("attn_out", layer,
                Attend(layer, Each(x, row => Normalize(row, Row("attention norm", layer, shape.Width)))));
            x = Keep("resid_mid", layer, Add(x, attended));
            var normal = Keep("mlp_in", layer, Each(x, row => Normalize(row, Row("mlp norm", layer, shape.Width))));
            var hidden = Keep("mlp_hidden", layer, Each(normal, row =>
            {
                double[] gate = Multiply("w1", layer, shape.Hidden, row), up = Multiply("w3", layer, shape.Hidden, row);
                return [.. gate.Select((g, i) => g / (1 + Math.Exp(-g)) * up[i])];
            }));
            x = Keep("resid_post", layer,
                Add(x, Keep("mlp_out", layer, Each(hidden, row => Multiply("w2", layer, shape.Width, row)))));
        }
        return Each(x,
            row =>
                Multiply(shape.Shared ? "embedding" : "classifier", 0, shape.Vocabulary,
                    Normalize(row, Row("final norm", 0, shape.Width))));
    }

    double[][] Attend(int layer, double[][] x)
    {
        int head = shape.Head, keys = head * shape.KeyHeads;
        double[][] query = Each(x, row => Multiply("wq", layer, shape.Width, row)),
        key = Each(x, row => Multiply("wk", layer, keys, row)),
        value = Each(x, row => Multiply("wv", layer, keys, row));
        for (var t = 0; t < x.Length; t++)
        {
            Rotate(query[t], t);
            Rotate(key[t], t);
        }
        var mixed = new double[x.Length][];
        for (var t = 0; t < x.Length; t++)
        {
            mixed[t] = new double[shape.Width];
            for (var h = 0; h < shape.Heads; h++)
            {
                var from = h / (shape.Heads / shape.KeyHeads) * head;
                double[] weight = [.. Enumerable.Range(0, t + 1)
                    .Select(s => Math.Exp(Enumerable.Range(0, head)
                        .Sum(i => query[t][h * head + i] * key[s][from + i]) / Math.Sqrt(head)))];
                for (var i = 0; i < head; i++)
                    mixed[t][h * head + i] = Enumerable.Range(0, t + 1)
                        .Sum(s => weight[s] * value[s][from + i]) / weight.Sum();
            }
        }
        return Each(mixed, row => Multiply("wo", layer, shape.Width, row));
    }

    void Rotate(double[] row, int place)
    {
        for (var i = 0; i < row.Length; i += 2)
        {
            var at = place * shape.Head / 2 + i / 2 % (shape.Head / 2);
            double c = weights["cosine"][at], s = weights["sine"][at];
            (row[i], row[i + 1]) = (row[i] * c - row[i + 1] * s, row[i] * s + row[i + 1] * c);
        }
    }

    double[][] Keep(string name, int layer, double[][] x) => Sites[$"{name}{layer}"] = x;

    double[] Row(string name, int row, int width) =>
        [.. weights[name].Skip(row * width).Take(width).Select(w => (double)w)];

    double[] Multiply(string name, int layer, int outputs, double[] x)
    {
        var w = weights[name];
        return [.. Enumerable.Range(layer * outputs, outputs)
            .Select(o => Enumerable.Range(0, x.Length).Sum(i => w[o * x.Length + i] * x[i]))];
    }

    static double[] Normalize(double[] x, double[] scale) =>
        [.. x.Select((v, i) => v / Math.Sqrt(x.Sum(u => u * u) / x.Length + 1e-5) * scale[i])];

    static double[][] Each(double[][] x, Func<double[], double[]> of) => [.. x.Select(of)];

    static double[][] Add(double[][] x, double[][] y) =>
        [.. x.Select((row, t) => row.Select((v, i) => v + y[t][i]).ToArray())];
}
