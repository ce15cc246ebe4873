using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>Known bugs of other trainers in the training signals of dead latents and gates; see
/// <see cref="BugClassTests"/>.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class BugClassAuxTests : BugClassProblem
{
    /// <summary>Covers a bug of SAELens before 6.36.2. The auxiliary reconstruction omits b_dec, so shifting b_dec and
    /// the data by the same amount changes nothing.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void AuxKOmitsTheDecoderBias(string target)
    {
        using Run here = new(target, TopK(new(8, 0.5f, 16)), Sgd), moved = new(target, TopK(new(8, 0.5f, 16)), Sgd);
        double Error(Run run, float by)
        {
            StepSums sums = default;
            for (var t = 0; t < 2; t++)
                sums = run.Step(Array.ConvertAll(run.Problem.Batch(), x => x + by), p =>
                {
                    for (var i = 0; i < 24; i++) p.BDec[i] += by;
                }, rate: 0);
            return sums.AuxSquaredError;
        }
        var plain = Error(here, 0);
        Assert.True(plain > 0);
        Assert.Equal(plain, Error(moved, 2), 0.02 * plain);
    }

    /// <summary>AuxK treats the residual as a constant: only dead latents learn from it, and they also learn in the
    /// encoder.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void AuxKDoesNotReachLivingLatents(string target)
    {
        using Run without = new(target, TopK(), Sgd), with = new(target, TopK(new(8, 0.5f, 16)), Sgd);
        var living = new int[60];
        foreach (var run in new[] { without, with })
        {
            run.Step(rate: 0);
            run.Backend.ReadFirings(living);        // the other latents are dead in the second step
            run.Step();
        }
        using SaeParameters a = without.Read(), b = with.Read();
        var learned = 0;
        for (var f = 0; f < 60; f++)
            if (living[f] > 0) Assert.True(Same(a, b, f), $"latent {f} is not dead and learned from AuxK");
            else if (!a.WEnc[f].SequenceEqual(b.WEnc[f])) learned++;
        // the fused encoder must keep that gradient
        Assert.True(learned > 5, $"only {learned} dead encoder rows learn from AuxK");
    }

    /// <summary>AuxK's term is scaled by min(dead / k_aux, 1). Four latents are dead, and two of them have a code for
    /// every k_aux.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void AuxKIsScaledByTheShareOfDeadLatents(string target)
    {
        float Moved(int k)
        {
            var spec = new SaeSpec
            {
                InputWidth = 8, Latents = 8, Selection = new Selection.TopK(4), Aux = new(k, 0.5f, 16),
                DecoderNorm = DecoderNorm.Free
            };
            using var run = new Run(target, spec, Sgd);
            float[] bias = [2, 1, -1, -2, 4, 5, 6, 7];
            run.Step(before: p =>
            {
                for (var f = 0; f < 8; f++) p.WEnc[f].Clear();
                bias.CopyTo(p.BEnc, 0);
            }, rate: 0);
            Assert.Equal(4, run.Backend.ReadSums().Dead);
            run.Step();
            using var after = run.Read();
            return after.BEnc[0] - bias[0];
        }
        var whole = Moved(4);
        Assert.NotEqual(0, whole, 1e-3);
        Assert.Equal(whole, Moved(2), Math.Abs(1e-2f * whole));
        Assert.Equal(whole / 2, Moved(8), Math.Abs(1e-2f * whole));
        Assert.Equal(whole / 4, Moved(16), Math.Abs(1e-2f * whole));      // more than the number of latents
    }

    /// <summary>The gate's own reconstruction trains the gate. Where no magnitude is above 0, the decoder learns
    /// nothing unless the spec trains it.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void TheGateDoesNotTrainAFrozenDecoder(string target)
    {
        foreach (var live in new[] { false, true })
            foreach (var dense in new[] { false, true })
            {
                var spec = TopK() with { Selection = new Selection.Gated(LiveAuxDecoder: live, Room: 60) };
                using var run = new Run(target, spec, Sgd);
                using var before = new SmallProblem(spec, 16, new()).Parameters;
                Assert.Equal(0, run.Step(before: p => Array.Fill(p.BMag, -1000), dense: dense).Active);
                using var after = run.Read();
                var all = Enumerable.Range(0, 60);
                Assert.Equal(live ? 60 : 0, all.Count(f => !before.WDec[f].SequenceEqual(after.WDec[f])));
                Assert.Equal(60, all.Count(f => !before.WEnc[f].SequenceEqual(after.WEnc[f])));
            }
    }

    /// <summary>The pre-activation loss of dead latents applies to dead latents alone.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void ThePreActivationLossAffectsOnlyDeadLatents(string target)
    {
        foreach (var dense in new[] { false, true })
        {
            using Run without = new(target, Jump() with { PreAct = new(0, DeadOnly: true, 16) }, Sgd),
                with = new(target, Jump() with { PreAct = new(1, DeadOnly: true, 16) }, Sgd);
            var living = new int[60];
            var losses = new List<double>();
            foreach (var run in new[] { without, with })
            {
                losses.Add(run.Step(dense: dense).PreAct);      // no latent is dead yet
                run.Backend.ReadFirings(living);
                losses.Add(run.Step(dense: dense).PreAct);
            }
            Assert.Equal([0, 0, 0], losses[..3]);
            Assert.True(losses[3] > 0);
            using SaeParameters a = without.Read(), b = with.Read();
            Assert.Contains(0, living);
            for (var f = 0; f < 60; f++) Assert.Equal(living[f] > 0, Same(a, b, f));
        }
    }

    /// <summary>A ghost's code is e^z, so a silent latent learns. The factor that scales it to the residual is a
    /// constant; otherwise a single ghost, which has only one direction, would not learn when to fire.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void ASingleGhostLearnsWhenToFire(string target)
    {
        foreach (var dense in new[] { false, true })
        {
            using var run = new Run(target, TopK() with { Selection = new Selection.Relu(60), Ghost = new(16) }, Sgd);
            run.Step(before: p =>
            {
                Array.Fill(p.BEnc, 0.125f);
                p.BEnc[7] = -1;
                p.WEnc[7].Clear();
            }, rate: 0, dense: dense);
            Assert.Equal(1, run.Backend.ReadSums().Dead);
            var sums = run.Step(dense: dense);
            using var after = run.Read();
            Assert.True(sums.Ghost > 0);
            Assert.True(Math.Abs(after.BEnc[7] + 1) > 1e-3, $"b_enc is {after.BEnc[7]}");
            Assert.Contains(after.WEnc[7].ToArray(), w => Math.Abs(w) > 1e-3);
        }
    }
}
