using CudaSae.Numerics;

namespace CudaSae.Model;

/// <summary>Turns the weights of training into those that are saved, and one kind of SAE into another that is the same
/// function.</summary>
static class Export
{
    /// <summary>All that a run's config asks for when its SAE is saved: pruning, norms, scales.</summary>
    /// <returns>How many latents were pruned.</returns>
    public static int Finish(SaeSpec spec, TrainConfig config, SaeParameters p, DataScale scale)
    {
        var pruned = config.PruneBelow > 0 ? Prune(spec, p, config.PruneBelow) : 0;
        if (config.FoldDecoderNorms) Folding.TrainedNorms(p);
        Folding.TrainedScales(p, scale.InputScale, scale.TargetScale);
        return pruned;
    }

    /// <summary>Empties latents whose decoder norm is below a limit: they never fire again.</summary>
    /// <returns>How many.</returns>
    public static int Prune(SaeSpec spec, SaeParameters p, float below)
    {
        var pruned = 0;
        for (var f = 0; f < spec.Latents; f++)
        {
            if ((float)Matrix.Norm(p.WDec[f]) >= below) continue;
            p.WEnc[f].Clear();
            p.WDec[f].Clear();
            foreach (var vector in (float[][])[p.BEnc, p.BMag, p.RMag])
                if (vector.Length > 0) vector[f] = 0;
            pruned++;
        }
        return pruned;
    }

    /// <summary>A Gated SAE as the JumpReLU SAE that is the same function: W = e^r WGate, b = b_mag, θ = max(0, b_mag −
    /// e^r b_gate) (arXiv 2404.16014, appendix).</summary>
    public static (SaeSpec Spec, SaeParameters Parameters) AsJumpRelu(SaeSpec spec, SaeParameters p)
    {
        if (spec.Selection is not Selection.Gated gated)
            throw new ArgumentException($"{spec.Selection.GetType().Name} is not Gated");
        var jump = spec with
        {
            Selection = new Selection.JumpRelu(InitialThreshold: 0, Form: ThresholdForm.Direct, Room: gated.Room)
        };
        var result = new SaeParameters(jump);
        p.WDec.CopyTo(result.WDec);
        p.WSkip.CopyTo(result.WSkip);
        p.BDec.CopyTo(result.BDec, 0);
        p.BMag.CopyTo(result.BEnc, 0);
        for (var f = 0; f < spec.Latents; f++)
        {
            var rescale = MathF.Exp(p.RMag[f]);
            for (var i = 0; i < spec.InputWidth; i++) result.WEnc[f][i] = rescale * p.WEnc[f][i];
            result.Threshold[f] = MathF.Max(0, p.BMag[f] - rescale * p.BEnc[f]);
        }
        return (jump, result);
    }

    /// <summary>A ReLU SAE as the Gated one that is the same function, to fine-tune its magnitudes alone.</summary>
    public static (SaeSpec Spec, SaeParameters Parameters) AsGated(SaeSpec spec, SaeParameters p)
    {
        if (spec.Selection is not Selection.Relu relu)
            throw new SaeException("only a ReLU SAE can be rescaled after training, not "
                + $"{spec.Selection.GetType().Name}");
        var gated = spec with
        {
            Selection = new Selection.Gated(Room: relu.Room),
            Penalty = null,
            Tying = Tying.Untied
        };
        var result = new SaeParameters(gated);
        p.WEnc.CopyTo(result.WEnc);
        p.WDec.CopyTo(result.WDec);
        p.WSkip.CopyTo(result.WSkip);
        p.BEnc.CopyTo(result.BEnc, 0);
        p.BEnc.CopyTo(result.BMag, 0);
        p.BDec.CopyTo(result.BDec, 0);
        return (gated, result);
    }
}
