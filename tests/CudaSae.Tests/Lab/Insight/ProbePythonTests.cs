using CudaSae.Lab.Insight.Probes;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Probes compared with numpy, on codes of real activations.</summary>
[Trait("speed", "slow")]
public class ProbePythonTests
{
    const int Latents = 300, Rows = 1000;

    [Fact]
    public void EveryScoreOfRealCodesMatchesNumpy()
    {
        Assert.SkipUnless(Python.WithTorch is not null, Python.Missing);
        using var folder = new TemporaryFolder();
        var (codes, labels) = (Codes(), Tokens());
        ProbeData.WriteNpy(folder["codes.npy"], "<f4", [.. codes.Cast<float>()], Rows, Latents);
        ProbeData.WriteNpy(folder["answers.npy"], "<i2",
            [.. Enumerable.Range(0, Rows).SelectMany(r => labels.Questions.Select((_, q) => labels[q][r]))], Rows,
            labels.Questions.Count);
        ProbeData.WriteNpy(folder["properties.npy"], "<i4",
            [.. labels.Properties.SelectMany(p => (int[])[p.Question, p.Class])], labels.Properties.Count, 2);
        Python.Run("probes.py", "ranks", folder[""]);
        double[] auroc = ProbeData.ReadNpy(folder["auroc.npy"]), f1 = ProbeData.ReadNpy(folder["f1.npy"]),
        difference = ProbeData.ReadNpy(folder["difference.npy"]);
        var (ranks, scores, compared) = (new LatentRanks(), new LatentScore[Labels.MaxClasses], 0);
        for (var latent = 0; latent < Latents; latent++)
        {
            int[] rows = [.. Enumerable.Range(0, Rows).Where(r => codes[r, latent] != 0)];
            ranks.Load(rows, [.. rows.Select(r => codes[r, latent])]);
            for (var p = 0; p < labels.Properties.Count; p++)
            {
                var (property, at) = (labels.Properties[p], latent * labels.Properties.Count + p);
                if (p == 0 || property.Question != labels.Properties[p - 1].Question)
                    ranks.Score(labels[property.Question], labels.Totals[property.Question],
                        scores.AsSpan(0, labels.Questions[property.Question].Classes.Length));
                var score = scores[property.Class];
                Assert.Equal(auroc[at], score.Auroc, 1e-10);
                Assert.Equal(f1[at], score.F1, 1e-10);
                Assert.Equal(difference[at], score.Difference, 1e-7);
                compared += double.IsNaN(auroc[at]) ? 0 : 1;
            }
        }
        Assert.InRange(compared, 20_000, int.MaxValue);
    }

    [Theory]
    [InlineData(1, 1e-3), InlineData(7, 1e-3), InlineData(30, 1e-4)]
    public void TheLogisticProbeMatchesNewtonInNumpy(int columns, double l2)
    {
        Assert.SkipUnless(Python.WithTorch is not null, Python.Missing);
        using var folder = new TemporaryFolder();
        var (x, positive) = LogisticTests.Problem(400, columns, 3);
        ProbeData.WriteNpy(folder["x.npy"], "<f4", x, 400, columns);
        ProbeData.WriteNpy(folder["y.npy"], "|b1", positive, 400);
        ProbeData.WriteNpy(folder["l2.npy"], "<f8", [l2], 1);
        Python.Run("probes.py", "logistic", folder[""]);
        var fit = LogisticRegression.Fit(x, positive, columns, l2);
        foreach (var (expected, got) in ProbeData.ReadNpy(folder["weights.npy"]).Zip([.. fit.Weights, fit.Bias]))
            Assert.InRange(Math.Abs(expected - got), 0, 1e-5 * Math.Max(Math.Abs(expected), 1e-2));
    }

    /// <summary>Returns codes [rows, n] of the shipped held-out rows by an encoder of random directions.</summary>
    static float[,] Codes()
    {
        var spec = new SaeSpec { InputWidth = 512, Latents = Latents, Selection = new Selection.TopK(32) };
        var (parameters, random, codes) = (new SaeParameters(spec), new Random(1), new float[Rows, Latents]);
        foreach (var matrix in (Matrix[])[parameters.WEnc, parameters.WDec])
            for (var f = 0; f < Latents; f++)
                foreach (ref var w in matrix[f]) w = random.NextSingle() - 0.5f;
        using var sae = new Sae(new SaeModel(spec, parameters), BackendKind.Cpu);
        using var source =
            ActivationSource.Open([Path.Combine(Repository.Root, "data", "use_lite_resid_post0_held_out.npy")]);
        CodePass.Run(sae, new(source, 0, Rows), new Into(codes));
        return codes;
    }

    sealed class Into(float[,] codes) : ICodeVisitor
    {
        public void Visit(in CodeBatch batch)
        {
            for (var b = 0; b < batch.Rows; b++)
                for (var i = 0; i < batch.Codes.Indices(b).Length; i++)
                    codes[batch.FirstRow + b, batch.Codes.Indices(b)[i]] = batch.Codes.Values(b)[i];
        }
    }

    static Labels Tokens()
    {
        var tokens = TokenLabels.Read(Path.Combine(Repository.Root, "data", "use_lite_resid_post0_held_out.jsonl"),
            2047);
        var questions = tokens.Answers.Select((answers, q) =>
            (Question: new Question(tokens.Names[q], [.. answers.Where(a => a.Length > 0).Distinct()]),
                Answers: answers))
            .ToArray();
        return new Labels([.. questions.Select(q => q.Question)],
            [.. questions.Select(q => q.Answers.Select(a => (short)Array.IndexOf(q.Question.Classes, a)).ToArray())])
            .Take(Rows);
    }
}
