using CudaSae.Numerics;

namespace CudaSae.Model;

/// <summary>From the weights of training to those that are saved: the same function of raw activations.</summary>
static class Export
{
    /// <summary>All that a run's config asks for when its SAE is saved: pruning, norms, scales.</summary>
    /// <returns>How many latents were pruned.</returns>
    public static int Finish(SaeSpec spec, TrainConfig config, SaeParameters p, DataScale scale)
    {
        var pruned = config.PruneBelow > 0 ? Prune(spec, p, config.PruneBelow) : 0;
        if (config.FoldDecoderNorms) FoldNorms(spec, p);
        FoldScales(spec, p, scale.InputScale, scale.TargetScale);
        return pruned;
    }

    /// <summary>Decoder norms into the encoder: z, biases and θ times ‖WDec_f‖, WDec rows unit. A latent of norm 0 stays. The function is the same for thresholded selections alone.</summary>
    public static void FoldNorms(SaeSpec spec, SaeParameters p)
    {
        for (var f = 0; f < spec.Latents; f++)
        {
            var norm = (float)Matrix.Norm(p.WDec[f]);
            if (!(norm > 0)) continue;
            foreach (ref var w in p.WEnc[f]) w *= norm;
            foreach (ref var w in p.WDec[f]) w /= norm;
            foreach (var vector in (float[][])[p.BEnc, p.BMag, p.Threshold])
                if (vector.Length > 0) vector[f] *= norm;
        }
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

    /// <summary>The training scales into the weights: x = inputScale · raw, y = targetScale · raw target. z, and with it b_enc and θ, stays.</summary>
    public static void FoldScales(SaeSpec spec, SaeParameters p, double inputScale, double targetScale)
    {
        var (up, down) = ((float)inputScale, (float)(1 / targetScale));
        for (var f = 0; f < spec.Latents; f++)
        {
            foreach (ref var w in p.WEnc[f]) w *= up;
            foreach (ref var w in p.WDec[f]) w *= down;
        }
        for (var i = 0; i < p.BDec.Length; i++) p.BDec[i] *= down;
        for (var i = 0; i < p.WSkip.Rows; i++)
            foreach (ref var w in p.WSkip[i]) w *= up * down;
    }

    /// <summary>A Gated SAE as the JumpReLU SAE that is the same function: W = e^r WGate, b = b_mag, θ = max(0, b_mag − e^r b_gate) (arXiv 2404.16014, appendix).</summary>
    public static (SaeSpec Spec, SaeParameters Parameters) AsJumpRelu(SaeSpec spec, SaeParameters p)
    {
        if (spec.Selection is not Selection.Gated gated) throw new ArgumentException($"{spec.Selection.GetType().Name} is not Gated");
        var jump = spec with { Selection = new Selection.JumpRelu(InitialThreshold: 0, Form: ThresholdForm.Direct, Room: gated.Room) };
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
        if (spec.Selection is not Selection.Relu relu) throw new SaeException($"only a ReLU SAE can be rescaled after training, not {spec.Selection.GetType().Name}");
        var gated = spec with { Selection = new Selection.Gated(Room: relu.Room), Penalty = null, Tying = Tying.Untied };
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
