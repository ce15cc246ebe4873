using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>One training step as scalar double-precision loops over every latent of every row: the definition that
/// every target is held against, for every
/// spec. <paramref name="rounding"/> imitates the number formats that a target's operands pass through, so that what is
/// left is accumulation error.
/// docs/internals/math.md numbers the equations.</summary>
sealed partial class Reference(SaeSpec spec, TrainConfig config, Rounding rounding)
{
    readonly int B = config.BatchRows, d = spec.InputWidth, D = spec.OutputWidth, n = spec.Latents, M = spec.Levels;

    public double[] WEnc { get; } = new double[(long)spec.Latents * spec.InputWidth];       // [n, d]
    public double[] WDec { get; } = new double[(long)spec.Latents * spec.OutputWidth];      // [n, D]
    public double[] BEnc { get; } = new double[spec.Latents];                               // [n] b_gate of Gated
    public double[] BDec { get; } = new double[spec.OutputWidth];
    public double[] Threshold { get; } = new double[spec.Latents]; // [n] θ, or log θ: what the optimizer moves
    public double[] BMag { get; } = new double[spec.Latents];
    public double[] RMag { get; } = new double[spec.Latents];
    public double[] TieScale { get; } = new double[spec.Latents];
    public double[] WSkip { get; } = new double[(long)spec.OutputWidth * spec.InputWidth];  // [D, d]
    public double BatchThreshold { get; set; }                                              // of BatchTopK
    public int[] LastFired { get; } = new int[spec.Latents];

    public double[] X { get; } = new double[(long)config.BatchRows * spec.InputWidth];      // [B, d] scaled input
    public double[] Y { get; } = new double[(long)config.BatchRows * spec.OutputWidth];     // [B, D] scaled target
    public double[] PreActs { get; } = new double[(long)config.BatchRows * spec.Latents];   // [B, n] z
    public double[] Value { get; } = new double[(long)config.BatchRows * spec.Latents];     // [B, n] code
    public double[] Residual { get; } = new double[(long)config.BatchRows * spec.OutputWidth];  // [B, D] x̂ − y
    public StepSums Sums;

    /// <summary>[B, n] which latents are in the code instead of the selection's own choice: another target's choice, so
    /// that a tie broken by rounding does
    /// not hide what else differs. Null selects.</summary>
    public bool[]? Chosen { get; set; }

    StepScalars scalars;

    public void SetParameters(SaeParameters from)
    {
        for (var f = 0; f < n; f++)
        {
            for (var i = 0; i < d; i++) WEnc[f * d + i] = from.WEnc[f][i];
            for (var i = 0; i < D; i++) WDec[f * D + i] = from.WDec[f][i];
            BEnc[f] = from.BEnc[f];
            if (from.Threshold.Length > 0)
                Threshold[f] = spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct } ? from.Threshold[f]
                    : Math.Log(from.Threshold[f]);
            if (from.BMag.Length > 0) (BMag[f], RMag[f]) = (from.BMag[f], from.RMag[f]);
            TieScale[f] = from.Scale.Length > 0 ? from.Scale[f] : 1;
        }
        for (var i = 0; i < D; i++) BDec[i] = from.BDec[i];
        for (var i = 0; i < from.WSkip.Rows * d; i++) WSkip[i] = from.WSkip[i / d][(int)(i % d)];
        BatchThreshold = from.BatchThreshold;
        ApplyTying();
    }

    /// <summary>WEnc follows WDec where the two are tied.</summary>
    public void ApplyTying()
    {
        if (spec.Tying == Tying.Untied) return;
        for (var i = 0; i < n * d; i++) WEnc[i] = TieScale[i / d] * WDec[i];
    }

    /// <summary>The step of SaeStep, phase by phase.</summary>
    /// <param name="raw">[B, row width] unscaled input, and behind it a transcoder's target.</param>
    public void Step(ReadOnlySpan<float> raw, in StepScalars stepScalars)
    {
        Forward(raw, stepScalars);
        DeadLoss();
        Gradients();
        Optimize();
        for (var e = 0; e < B * n; e++)
            if (Value[e] != 0) LastFired[e % n] = (int)scalars.Step;
        Sums.Dead = LastFired.Count(t => scalars.Step - t >= scalars.DeadAfterSteps);
        if (spec.Selection is Selection.BatchTopK batch) MoveBatchThreshold(batch);
    }

    /// <summary>encode and decode: code, residuals and the sums of a step, weights unchanged.</summary>
    public void Forward(ReadOnlySpan<float> raw, in StepScalars stepScalars)
    {
        scalars = stepScalars;
        Sums = new StepSums { Step = scalars.Step };
        for (var b = 0; b < B; b++)
        {
            for (var i = 0; i < d; i++) X[b * d + i] = (double)raw[b * spec.RowWidth + i] * scalars.InputScale;
            for (var i = 0; i < D; i++)
                Y[b * D + i] = spec.Transcoder is null ? X[b * d + i]
                    : (double)raw[b * spec.RowWidth + d + i] * scalars.TargetScale;
        }
        Encode();
        Decode();
        Penalties();
    }

    double Centered(int b, int i) => rounding.Operand(X[b * d + i] - (spec.PreEncoderBias ? BDec[i] : 0));

    /// <summary>x − b_dec as the backward gathers it.</summary>
    double CenteredRow(int b, int i) => rounding.Gathered(X[b * d + i] - (spec.PreEncoderBias ? BDec[i] : 0));

    /// <summary>θ_f in units of z.</summary>
    public double Theta(int f) =>
        spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct } ? Threshold[f] : Math.Exp(Threshold[f]);

    /// <summary>ω_f: the decoder norm, over sites their sum.</summary>
    public double DecoderNormOf(int f)
    {
        double omega = 0;
        foreach (var (first, width) in SiteColumns()) omega += SiteNorm(f, first, width);
        return omega;
    }

    IEnumerable<(int First, int Width)> SiteColumns()
    {
        var first = 0;
        foreach (var width in spec.Sites ?? [D])
        {
            yield return (first, width);
            first += width;
        }
    }

    double SiteNorm(int f, int first, int width)
    {
        double squares = 0;
        for (var i = first; i < first + width; i++) squares += WDec[f * D + i] * WDec[f * D + i];
        return Math.Sqrt(squares);
    }

    double PenaltyWeightOf(int f) => spec.Penalty is null or { Weight: PenaltyWeight.One } ? 1 : DecoderNormOf(f);
}

/// <summary>Number formats that operands pass through on a target.</summary>
sealed record Rounding(Func<double, double> Operand, Func<double, double> Gathered)
{
    /// <summary>The CPU backend: float32 throughout.</summary>
    public static readonly Rounding None = new(x => x, x => x);

    /// <summary>The kernels: bfloat16 encoder operands, decoder rows, and gathered residual and input rows.</summary>
    public static readonly Rounding BFloat16 = new(ToBFloat16, ToBFloat16);

    /// <summary>The kernels with the float32 encoder.</summary>
    public static readonly Rounding Float32Encoder = new(x => x, ToBFloat16);

    /// <summary>Nearest bfloat16, ties to even.</summary>
    public static double ToBFloat16(double x)
    {
        var bits = BitConverter.SingleToUInt32Bits((float)x);
        if (!float.IsFinite((float)x)) return (float)x;
        return BitConverter.UInt32BitsToSingle((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
    }
}
