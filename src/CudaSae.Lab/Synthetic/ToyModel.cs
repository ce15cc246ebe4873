using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Lab.Synthetic;

/// <summary>What a toy model is made of.</summary>
sealed record ToyOptions
{
    public int Features { get; init; } = 20;            // n
    public int Hidden { get; init; } = 5;               // m

    /// <summary>S: the chance that a feature is 0 in a row.</summary>
    public double Sparsity { get; init; } = 0.95;

    /// <summary>Feature i weighs Importanceⁱ in the loss.</summary>
    public double Importance { get; init; } = 1;
    public int Steps { get; init; } = 4000;
    public int BatchRows { get; init; } = 256;

    /// <summary>Adam's step size at the start; it falls linearly to 0.</summary>
    public double LearningRate { get; init; } = 0.01;
    public ulong Seed { get; init; } = 1;

    /// <exception cref="SaeException">A value is out of range.</exception>
    public ToyOptions Validate()
    {
        Need(Features is >= 2 and <= 1024, "features", Features, "2 to 1024");
        Need(Hidden >= 1 && Hidden <= Features, "hidden", Hidden, $"1 to the {Features} features");
        Need(Sparsity is >= 0 and <= 0.999, "sparsity", Sparsity, "0 to 0.999");
        Need(Importance is > 0 and <= 1, "importance", Importance, "above 0, at most 1");
        Need(Steps is >= 1 and <= 10_000_000, "steps", Steps, "1 to 10000000");
        Need(BatchRows is >= 1 and <= 1 << 20, "batch rows", BatchRows, "1 to 1048576");
        Need(LearningRate is > 0 and <= 10, "learning rate", LearningRate, "above 0, at most 10");
        return this;
    }

    static void Need(bool holds, string name, object value, string range)
    {
        if (!holds) throw new SaeException($"a toy model with {name} {value} cannot be made; choose {range}");
    }
}

/// <summary>The toy model of superposition (Elhage et al. 2022, Toy Models of Superposition): x' = relu(Wᵀ W x + b),
/// trained on L = mean over rows of Σᵢ Iᵢ (xᵢ − x'ᵢ)²; xᵢ is 0 with
/// chance S, else uniform in [0, 1). In double; a function of its options.</summary>
sealed class ToyModel
{
    const ulong WeightStream = 10, ActiveStream = 11, ValueStream = 12;
    const long HarvestRows = 1L << 40;      // rows that no training step drew from here on

    readonly Counter active, values;
    readonly double[] hidden, importance;   // h = W x [m]; I [n]

    public ToyModel(ToyOptions options)
    {
        Options = options.Validate();
        (active, values) = (new(options.Seed, ActiveStream), new(options.Seed, ValueStream));
        (hidden, importance) = (new double[options.Hidden],
            [.. Enumerable.Range(0, options.Features).Select(i => Math.Pow(options.Importance, i))]);
        (W, B) = (new double[options.Features * options.Hidden], new double[options.Features]);
        var normal = new Counter(options.Seed, WeightStream);
        var scale = Math.Sqrt(2.0 / (options.Features + options.Hidden));
        for (var i = 0; i < options.Features; i++)
            for (var h = 0; h < options.Hidden; h++) W[i * options.Hidden + h] = scale * normal.Normal(i, h);
    }

    public ToyOptions Options { get; }

    /// <summary>Columns of W, one behind the other: [n, m], row i is where feature i points in the hidden
    /// layer.</summary>
    public double[] W { get; }
    public double[] B { get; }      // [n]

    /// <summary>Loss of the last step.</summary>
    public double Loss { get; private set; }

    /// <summary>Direction of a feature, not of norm 1.</summary>
    public ReadOnlySpan<double> Column(int feature) => W.AsSpan(feature * Options.Hidden, Options.Hidden);

    /// <summary>‖Wᵢ‖: about 1 for a feature that the model represents, 0 for one it gave up.</summary>
    public double Norm(int feature)
    {
        double squares = 0;
        foreach (var w in Column(feature)) squares += w * w;
        return Math.Sqrt(squares);
    }

    /// <summary>Dᵢ = ‖Wᵢ‖² / Σⱼ (Ŵᵢ · Wⱼ)²: the share of a dimension that a feature has for itself (Elhage et al.
    /// 2022).</summary>
    public double Dimensionality(int feature)
    {
        double own = Norm(feature), shared = 0;
        if (own == 0) return 0;
        for (var j = 0; j < Options.Features; j++) shared += Math.Pow(Dot(Column(feature), Column(j)) / own, 2);
        return own * own / shared;
    }

    static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (var i = 0; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    public void Train()
    {
        var (gradient, first, second) =
            (new double[W.Length + B.Length], new double[W.Length + B.Length], new double[W.Length + B.Length]);
        var batch = new double[Options.BatchRows * Options.Features];
        for (var step = 1; step <= Options.Steps; step++)
        {
            for (var b = 0; b < Options.BatchRows; b++)
                Draw((long)(step - 1) * Options.BatchRows + b, batch.AsSpan(b * Options.Features, Options.Features));
            Loss = Gradient(batch, gradient);
            var rate = Options.LearningRate * (1 - (step - 1) / (double)Options.Steps);
            double c1 = 1 / (1 - Math.Pow(0.9, step)), c2 = 1 / (1 - Math.Pow(0.999, step));
            for (var p = 0; p < gradient.Length; p++)
            {
                first[p] = 0.9 * first[p] + 0.1 * gradient[p];
                second[p] = 0.999 * second[p] + 0.001 * gradient[p] * gradient[p];
                ref var weight = ref p < W.Length ? ref W[p] : ref B[p - W.Length];
                weight -= rate * c1 * first[p] / (Math.Sqrt(c2 * second[p]) + 1e-8);
            }
        }
        if (!double.IsFinite(Loss))
            throw new SaeException($"the toy model's loss became {Loss}; lower its learning rate",
                kind: SaeErrorKind.Numbers);
    }

    /// <summary>x of a row, a function of (seed, row).</summary>
    internal void Draw(long row, Span<double> x)
    {
        for (var i = 0; i < x.Length; i++)
            x[i] = active.Uniform(row, i) < Options.Sparsity ? 0 : values.Uniform(row, i);
    }

    /// <summary>L of rows [rows, n], and ∂L/∂W, ∂L/∂b one behind the other.</summary>
    internal double Gradient(ReadOnlySpan<double> rows, Span<double> gradient)
    {
        int n = Options.Features, m = Options.Hidden, count = rows.Length / n;
        gradient.Clear();
        double loss = 0;
        Span<double> back = new double[m];
        for (var r = 0; r < count; r++)
        {
            var x = rows.Slice(r * n, n);
            Hidden(x, hidden);
            back.Clear();
            for (var i = 0; i < n; i++)
            {
                var z = Dot(Column(i), hidden) + B[i];
                var error = Math.Max(z, 0) - x[i];
                loss += importance[i] * error * error;
                if (z <= 0) continue;
                var slope = 2 * importance[i] * error / count;      // ∂L/∂z
                gradient[W.Length + i] += slope;
                for (var h = 0; h < m; h++)
                {
                    gradient[i * m + h] += slope * hidden[h];
                    back[h] += slope * W[i * m + h];
                }
            }
            for (var i = 0; i < n; i++)
                for (var h = 0; h < m && x[i] != 0; h++) gradient[i * m + h] += x[i] * back[h];
        }
        return loss / count;
    }

    void Hidden(ReadOnlySpan<double> x, Span<double> h)
    {
        h.Clear();
        for (var i = 0; i < x.Length; i++)
            for (var j = 0; j < h.Length && x[i] != 0; j++) h[j] += x[i] * W[i * Options.Hidden + j];
    }

    /// <summary>h = W x of rows that training did not see and that have an active feature: the others are 0, whatever
    /// the model learned.</summary>
    /// <returns>[rows, m], and how many features are active in the mean.</returns>
    public (float[] Rows, double Active) Harvest(int rows)
    {
        var (all, x, h) = (new float[rows * Options.Hidden], new double[Options.Features], new double[Options.Hidden]);
        long row = HarvestRows, on = 0;
        for (var kept = 0; kept < rows; row++)
        {
            Draw(row, x);
            var count = x.Count(v => v != 0);
            if (count == 0) continue;
            on += count;
            Hidden(x, h);
            for (var i = 0; i < h.Length; i++) all[kept * h.Length + i] = (float)h[i];
            kept++;
        }
        return (all, (double)on / rows);
    }

    /// <summary>Writes W [m, n] and b [n] as safetensors, float32, under the names of the paper's code.</summary>
    public void Save(string path)
    {
        using var w = new Matrix(Options.Features, Options.Hidden);
        for (var i = 0; i < Options.Features; i++)
            for (var h = 0; h < Options.Hidden; h++) w[i][h] = (float)W[i * Options.Hidden + h];
        SafetensorsWriter.Write(path,
            [TensorToWrite.Transposed("W", w), TensorToWrite.Of("b_final", [.. B.Select(b => (float)b)])]);
    }
}
