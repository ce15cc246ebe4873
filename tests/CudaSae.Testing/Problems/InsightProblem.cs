using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Formats;
using CudaSae.Lab.Insight;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Testing.Problems;

/// <summary>A small SAE with random weights over random rows, with the rows and codes in double for an independent
/// computation.</summary>
sealed class InsightProblem : IDisposable, ICodeVisitor
{
    public const int D = 24, N = 60, Rows = 300;

    readonly ActivationSource source;

    /// <param name="kind">relu, topk, or layer norm (with relu).</param>
    public InsightProblem(TemporaryFolder folder, string kind, int latents = N, int seed = 3)
    {
        var spec = new SaeSpec
        {
            InputWidth = D, Latents = latents,
            Selection = kind == "topk" ? new Selection.TopK(7) : new Selection.Relu(latents),
            DecoderNorm = DecoderNorm.Free
        };
        var (p, random) = (new SaeParameters(spec), new Random(seed));
        foreach (var matrix in (Matrix[])[p.WEnc, p.WDec])
            for (var f = 0; f < latents; f++)
                foreach (ref var w in matrix[f]) w = 0.4f * (random.NextSingle() - 0.5f);
        for (var f = 0; f < latents; f++) p.BEnc[f] = -0.1f - 0.06f * (f % 10); // from frequent to silent
        p.BEnc[5] = -100;
        for (var c = 0; c < D; c++) p.BDec[c] = 0.3f * random.NextSingle();
        Sae = new(new SaeModel(spec, p)
        {
            Normalization = kind == "layer norm" ? InputNormalization.LayerNorm
            : InputNormalization.None
        },
            BackendKind.Cpu, 64);
        if (!File.Exists(folder["x.npy"])) Write(folder["x.npy"]);
        source = ActivationSource.Open([folder["x.npy"]]);
        Source = new(folder["run"], null, Sae.Model, new(source, 0, Rows));
        CodePass.Run(Sae, Source.Rows, this);
    }

    static void Write(string path)
    {
        var random = new Random(8);
        using var stream = File.Create(path);
        stream.Write(NpyFile.MakeHeader("<f4", Rows, D));
        for (var i = 0; i < Rows * D; i++)
            stream.Write(BitConverter.GetBytes((0.2f + i % D * 0.1f) * (float)(random.NextDouble() - 0.4)));
    }

    public Sae Sae { get; }
    public RunSource Source { get; }
    public SaeParameters Weights => Sae.Model.Parameters;

    /// <summary>The rows x, [Rows][D]. Code holds [Rows][N] in the units of the decoder's output, and Undo reverses
    /// each row's normalization.</summary>
    public List<double[]> X { get; } = [];
    public List<double[]> Code { get; } = [];
    public List<(double Scale, double Shift)> Undo { get; } = [];

    public void Visit(in CodeBatch batch)
    {
        for (var b = 0; b < batch.Rows; b++)
        {
            X.Add([.. batch.Input.Slice(b * D, D).ToArray().Select(v => (double)v)]);
            var code = new double[Sae.Latents];
            var index = batch.Codes.Indices(b);
            for (var j = 0; j < index.Length; j++) code[index[j]] = batch.Codes.Values(b)[j];
            Code.Add(code);
            Undo.Add(batch.Codes.Undo(b));
        }
    }

    /// <summary>Computes x̂ of a row from the selected values of its code.</summary>
    public double[] Reconstruct(int row, Func<int, bool>? counts = null)
    {
        var xhat = new double[D];
        for (var c = 0; c < D; c++)
        {
            xhat[c] = Weights.BDec[c];
            for (var f = 0; f < Sae.Latents; f++)
                if (counts is null || counts(f)) xhat[c] += Code[row][f] * Weights.WDec[f][c];
            xhat[c] = xhat[c] * Undo[row].Scale + Undo[row].Shift;
        }
        return xhat;
    }

    public static double Dot(IEnumerable<double> a, IEnumerable<double> b) => a.Zip(b, (x, y) => x * y).Sum();
    public static double Cosine(Matrix a, int i, Matrix b, int j) =>
        Dot(Doubled(a[i]), Doubled(b[j])) / Math.Sqrt(Dot(Doubled(a[i]),
            Doubled(a[i])) * Dot(Doubled(b[j]), Doubled(b[j])));
    public static double[] Doubled(ReadOnlySpan<float> row) => [.. row.ToArray().Select(v => (double)v)];

    public void Dispose()
    {
        Sae.Dispose();
        source.Dispose();
    }
}
