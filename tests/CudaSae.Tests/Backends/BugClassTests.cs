using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Known bugs of other trainers of sparse autoencoders. Each test states a property that the bug violates, on
/// every target. Bugs that VerifierTests and GradientTests would also detect have a named test here.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class BugClassTests : BugClassProblem
{
    /// <summary>Both paths of a thresholded selection compute the same step, so a switch during a run has no
    /// effect.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void SparseAndDensePathsAgree(string target)
    {
        var relu = TopK() with
        {
            Selection = new Selection.Relu(60),
            Penalty = new SparsityPenalty.L1 { Coefficient = 0.3f }
        };
        var nested = new Nesting.Prefixes([1, 1, 1], Random: true);
        foreach (var spec in new[] { Jump(ThresholdForm.Log), relu, Jump(ThresholdForm.Log) with { Nested = nested },
            relu with { Nested = new Nesting.Prefixes([20, 33]), Selection = new Selection.Gated(Room: 60) } })
        {
            using Run sparse = new(target, spec, new()), mixed = new(target, spec, new());
            for (var t = 1; t <= 4; t++)
            {
                var (a, b) = (sparse.Step(rate: 0.01f), mixed.Step(rate: 0.01f, dense: t is 1 or 3));
                Assert.Equal((0, t is 1 or 3 ? 1 : 0), (a.Dense, b.Dense));
                Assert.Equal(a.SquaredError, b.SquaredError, 1e-3 * a.SquaredError);
                Assert.Equal(a.LevelError, b.LevelError, 1e-3 * a.LevelError);
                Assert.Equal(a.GradientNorm, b.GradientNorm, 1e-2 * a.GradientNorm);
            }
        }
    }

    /// <summary>The dense path works in chunks, but a latent learns from the prefixes that contain it: prefixes that
    /// end within a chunk, at a chunk's end, twice at one width, and at the last latent.</summary>
    [Theory, MemberData(nameof(OneOfEach))]
    public void ChunksOfTheDensePathEndWherePrefixesDo(string target)
    {
        const int Latents = 2200;
        var spec = Jump(ThresholdForm.Log) with
        {
            Latents = Latents,
            Selection = new Selection.JumpRelu(Bandwidth: 0.5f, Room: 300),
            Nested = new Nesting.Prefixes([1, 1, 1, 1, 1], Random: true)
        };
        using Run sparse = new(target, spec, Sgd), dense = new(target, spec, Sgd);
        StepSums Step(Run run, bool dense) => run.Step(before: p => Array.Fill(p.BEnc, -8), dense: dense, change: s =>
        {
            (s.Prefix[0], s.Prefix[1], s.Prefix[2], s.Prefix[3], s.Prefix[4]) = (7, 700, 700, 2048, Latents);
            return s;
        });
        var (a, b) = (Step(sparse, dense: false), Step(dense, dense: true));
        Assert.Equal((0, 1), (a.Dense, b.Dense));
        Assert.Equal(a.LevelError, b.LevelError, 1e-3 * a.LevelError);
        using SaeParameters one = sparse.Read(), other = dense.Read();
        using var start = new SmallProblem(spec, 16, Sgd).Parameters;
        Assert.InRange(MovedAlike(p => p.WDec), 300, Latents);
        Assert.InRange(MovedAlike(p => p.WEnc), 300, Latents);

        int MovedAlike(Func<SaeParameters, Matrix> matrix)
        {
            var moved = 0;
            for (var f = 0; f < Latents; f++)
            {
                double difference = 0, movement = 0;
                for (var i = 0; i < 24; i++)
                {
                    difference += Math.Pow(matrix(one)[f][i] - matrix(other)[f][i], 2);
                    movement += Math.Pow(matrix(one)[f][i] - matrix(start)[f][i], 2);
                }
                Assert.True(Math.Sqrt(difference) <= 0.01 * Math.Sqrt(movement) + 1e-4,
                    $"latent {f} moved by {Math.Sqrt(movement)}, and on the dense path {Math.Sqrt(difference)} away "
                        + "from there");
                if (movement > 0) moved++;
            }
            return moved;
        }
    }

    /// <summary>A row that exceeds its capacity sends the batch to the dense path, which gives the same result, and is
    /// counted.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void OverfullRowsTakeTheDensePath(string target)
    {
        var spec = TopK() with
        {
            Selection = new Selection.Relu(5),
            Penalty = new SparsityPenalty.L1 { Coefficient = 0.3f }
        };
        using Run narrow = new(target, spec, Sgd),
            wide = new(target, spec with { Selection = new Selection.Relu(60) }, Sgd);
        var (a, b) = (narrow.Step(), wide.Step());
        Assert.Equal((1, 0), (a.Dense, b.Dense));
        Assert.True(a.Overflows > 0);
        Assert.Equal(b.SquaredError, a.SquaredError, 1e-3 * b.SquaredError);
        Assert.Equal(b.GradientNorm, a.GradientNorm, 1e-2 * b.GradientNorm);
    }

    /// <summary>Among equal pre-activations the lower latents are kept.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void TiesGoToTheLowerLatent(string target)
    {
        foreach (var spec in new[] { TopK(), TopK() with { Selection = new Selection.AbsTopK(4) } })
        {
            using var run = new Run(target, spec, Sgd);
            run.Step(before: p =>
            {
                for (var f = 0; f < 60; f++) p.WEnc[f].Clear();
                Array.Fill(p.BEnc, 1);
            }, rate: 0);
            var firings = new int[60];
            run.Backend.ReadFirings(firings);
            Assert.Equal(Enumerable.Range(0, 60).Select(f => f < 4 ? 16 : 0), firings);
        }
    }

    /// <summary>A prefix of width w contains the latents below w and not w itself.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void PrefixesEndAtTheirWidth(string target)
    {
        foreach (var only in new[] { 19, 20 })
        {
            using var run = new Run(target,
                TopK() with { Selection = new Selection.TopK(1), Nested = new Nesting.Prefixes([20]) }, Sgd);
            var sums = run.Step(new float[16 * 24], p =>
            {
                for (var f = 0; f < 60; f++) p.BEnc[f] = f == only ? 1 : -1;
                Array.Clear(p.BDec);
            }, rate: 0);
            Assert.True(sums.SquaredError > 1);
            Assert.Equal((only < 20 ? 2 : 1) * sums.SquaredError, sums.LevelError, 1e-3 * sums.SquaredError);
        }
    }

    /// <summary>The weight of a nested loss occurs once in its gradient: the mean of equal losses has the gradient of
    /// one, and a quarter of a loss has a quarter of its gradient.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void NestedLossesAreWeightedOnce(string target)
    {
        double Norm(Nesting? nested)
        {
            using var run = new Run(target, TopK() with { Nested = nested }, Sgd);
            // all firing latents are in the first prefix
            return run.Step(before: p => p.BEnc[59] = -1000).GradientNorm;
        }
        var plain = Norm(null);
        Assert.Equal(plain, Norm(new Nesting.Prefixes([59], Mean: true)), 1e-3 * plain);
        Assert.Equal(plain / 4, Norm(new Nesting.Budgets([4], [0.25f])), 1e-3 * plain);
    }
}
