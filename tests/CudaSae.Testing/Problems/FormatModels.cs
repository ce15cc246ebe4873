using System.Text.Json.Nodes;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Testing.Problems;

/// <summary>Small random SAEs, and what they compute as plain double loops.</summary>
static class FormatModels
{
    public const int D = 6, N = 24, K = 4;

    public static readonly string[] Selections = ["relu", "jumprelu", "gated", "topk", "abstopk", "batchtopk",
        "matryoshka", "groupmax"];

    public static Selection SelectionOf(string name) => name switch
    {
        "relu" => new Selection.Relu(N),
        "jumprelu" => new Selection.JumpRelu(InitialThreshold: 0, Form: ThresholdForm.Direct, Room: N),
        "gated" => new Selection.Gated(Room: N),
        "topk" => new Selection.TopK(K),
        "abstopk" => new Selection.AbsTopK(K),
        "batchtopk" or "matryoshka" => new Selection.BatchTopK(K),
        "groupmax" => new Selection.GroupMax(K),
        _ => throw new ArgumentException(name),
    };

    public static SaeSpec Spec(string selection, int? output = null, bool skip = false, bool centres = true) => new()
    {
        InputWidth = D,
        Latents = N,
        Selection = SelectionOf(selection),
        Nested = selection == "matryoshka" ? new Nesting.Prefixes([6, 12], Mean: true) : null,
        Transcoder = output is { } width ? new(width, skip) : null,
        DecoderNorm = DecoderNorm.Free,
        PreEncoderBias = centres && output is null,
    };

    public static SaeModel Model(SaeSpec spec, InputNormalization normalization = InputNormalization.None,
        bool zeroBias = false, int seed = 1)
    {
        var random = new Random(seed);
        var p = new SaeParameters(spec);
        foreach (var matrix in (Matrix[])[p.WEnc, p.WDec, p.WSkip])
            for (long row = 0; row < matrix.Rows; row++) Fill(matrix[row], 0.5);
        foreach (var vector in (float[][])[p.BEnc, p.BMag, p.RMag]) Fill(vector, 0.2);
        if (!zeroBias) Fill(p.BDec, 0.3);
        for (var f = 0; f < p.Threshold.Length; f++) p.Threshold[f] = 0.05f + 0.3f * random.NextSingle();
        if (spec.Selection is Selection.BatchTopK) p.BatchThreshold = 0.4f;
        return new(spec, p)
        {
            Normalization = normalization,
            About = new JsonObject { ["model_name"] = "gpt2", ["hook_name"] = "blocks.3.hook_resid_post" }
        };

        void Fill(Span<float> into, double spread)
        {
            foreach (ref var w in into)
                w = (float)(spread * (random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5));
        }
    }

    public static double[][] Rows(int count = 40, int seed = 2)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count)
            .Select(_ => Enumerable.Range(0, D).Select(_ => (double)(float)(4 * random.NextDouble() - 2)).ToArray())];
    }

    /// <summary>The code of one raw row and what is decoded of it.</summary>
    public static (double[] Code, double[] Output) Forward(SaeModel sae, double[] row)
    {
        var (spec, p) = (sae.Spec, sae.Parameters);
        var (shift, scale, divisor) = Normalize(sae.Normalization, row);
        var input = row.Select((v, i) => (v - shift) / divisor - (spec.PreEncoderBias ? p.BDec[i] : 0)).ToArray();
        var product = Enumerable.Range(0, spec.Latents).Select(f => Dot(p.WEnc[f], input)).ToArray();
        var code = Select(sae, product);
        var output = Enumerable.Range(0, spec.OutputWidth).Select(i => (double)p.BDec[i]).ToArray();
        for (var f = 0; f < code.Length; f++)
            for (var i = 0; i < output.Length; i++) output[i] += code[f] * p.WDec[f][i];
        for (var i = 0; i < output.Length; i++)
            output[i] = output[i] * scale + shift + (p.WSkip.Rows > 0 ? Dot(p.WSkip[i], row) : 0);
        return (code, output);
    }

    static (double Shift, double Scale, double Divisor) Normalize(InputNormalization normalization, double[] row)
    {
        var mean = row.Average();
        var std = Math.Sqrt(row.Sum(v => (v - mean) * (v - mean)) / (row.Length - 1));
        var norm = Math.Sqrt(row.Sum(v => v * v) / row.Length);
        return normalization switch
        {
            InputNormalization.LayerNorm => (mean, std, std + 1e-5),
            InputNormalization.ConstantNorm => (0, norm, norm),
            _ => (0, 1, 1)
        };
    }

    static double[] Select(SaeModel sae, double[] product)
    {
        var (p, k) = (sae.Parameters, sae.Spec.ActiveAtInference);
        var z = product.Select((v, f) => v + p.BEnc[f]).ToArray();
        var kept = Enumerable.Range(0, z.Length);
        switch (sae.Spec.Selection)
        {
            case Selection.Gated:
                return [.. product.Select((v, f) => v + p.BEnc[f] > 0 ? Math.Max(0, Math.Exp(p.RMag[f]) * v + p.BMag[f])
                    : 0)];
            case Selection.JumpRelu: kept = kept.Where(f => z[f] > p.Threshold[f]); break;
            case Selection.BatchTopK: kept = kept.Where(f => z[f] > p.BatchThreshold); break;
            case Selection.TopK: kept = kept.OrderByDescending(f => z[f]).Take(k); break;
            case Selection.AbsTopK: kept = kept.OrderByDescending(f => Math.Abs(z[f])).Take(k); break;
            case Selection.GroupMax:
                kept = kept.GroupBy(f => f / (z.Length / k)).Select(g => g.MaxBy(f => z[f])); break;
        }
        var chosen = kept.ToHashSet();
        return [.. z.Select((v, f) => chosen.Contains(f) ? sae.Spec.Selection is Selection.AbsTopK ? v : Math.Max(0, v)
            : 0)];
    }

    static double Dot(ReadOnlySpan<float> weights, double[] x)
    {
        double sum = 0;
        for (var i = 0; i < x.Length; i++) sum += weights[i] * x[i];
        return sum;
    }

    /// <summary>Each weight's name where two SAEs differ in a bit.</summary>
    public static string Differences(SaeModel a, SaeModel b)
    {
        var (p, q) = (a.Parameters, b.Parameters);
        return string.Join(' ', ((string, bool)[])
        [
            ("WEnc", Same(p.WEnc, q.WEnc)), ("WDec", Same(p.WDec, q.WDec)), ("WSkip", Same(p.WSkip, q.WSkip)),
            ("BEnc", p.BEnc.AsSpan().SequenceEqual(q.BEnc)), ("BDec", p.BDec.AsSpan().SequenceEqual(q.BDec)),
            ("Threshold", p.Threshold.AsSpan().SequenceEqual(q.Threshold)),
            ("BMag", p.BMag.AsSpan().SequenceEqual(q.BMag)), ("RMag", p.RMag.AsSpan().SequenceEqual(q.RMag)),
            ("BatchThreshold", p.BatchThreshold == q.BatchThreshold),
        ] is var all ? all.Where(c => !c.Item2).Select(c => c.Item1) : []);
    }

    static bool Same(Matrix a, Matrix b)
    {
        if (a.Rows != b.Rows || a.Columns != b.Columns) return false;
        for (long row = 0; row < a.Rows; row++)
            if (!a[row].SequenceEqual(b[row])) return false;
        return true;
    }

    /// <summary>The largest difference of codes and outputs over random rows.</summary>
    public static double Distance(SaeModel a, SaeModel b, bool codes = true) => Rows().Max(row =>
    {
        var ((f, x), (g, y)) = (Forward(a, row), Forward(b, row));
        return Math.Max(codes ? f.Zip(g).Max(p => Math.Abs(p.First - p.Second)) : 0,
            x.Zip(y).Max(p => Math.Abs(p.First - p.Second)));
    });
}
