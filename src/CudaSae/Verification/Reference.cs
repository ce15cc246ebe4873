using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Verification;

/// <summary>One training step as scalar double-precision loops: the definition that every target is held against.
/// <paramref name="rounding"/> imitates the number formats that a target's operands pass through, so that what is left
/// is accumulation error. docs/math.md numbers the equations.</summary>
public sealed partial class Reference(SaeSpec spec, TrainConfig config, Rounding rounding)
{
    readonly int B = config.BatchRows, d = spec.InputWidth, n = spec.Latents, k = spec.Active;

    public double[] WEnc { get; } = new double[(long)spec.Latents * spec.InputWidth];   // [n, d]
    public double[] WDec { get; } = new double[(long)spec.Latents * spec.InputWidth];   // [n, d]
    public double[] BEnc { get; } = new double[spec.Latents];
    public double[] BDec { get; } = new double[spec.InputWidth];

    public double[] X { get; } = new double[(long)config.BatchRows * spec.InputWidth];          // [B, d] scaled input
    public double[] PreActs { get; } = new double[(long)config.BatchRows * spec.Latents];       // [B, n]
    public int[] Index { get; } = new int[(long)config.BatchRows * spec.Active];                // [B, k]
    public double[] Value { get; } = new double[(long)config.BatchRows * spec.Active];          // [B, k]
    public double[] ValueGrad { get; } = new double[(long)config.BatchRows * spec.Active];      // [B, k]
    public double[] Residual { get; } = new double[(long)config.BatchRows * spec.InputWidth];   // [B, d]
    public int[] LastFired { get; } = new int[spec.Latents];
    public StepSums Sums;

    /// <summary>[B, k] latents to keep instead of the largest: another target's choice, so that a tie broken by rounding does
    /// not hide what else differs. Null selects.</summary>
    public int[]? Chosen { get; set; }

    StepScalars scalars;

    public void SetParameters(SaeParameters from)
    {
        for (var f = 0; f < n; f++)
            for (var i = 0; i < d; i++)
            {
                WEnc[f * d + i] = from.WEnc[f][i];
                WDec[f * d + i] = from.WDec[f][i];
            }
        for (var f = 0; f < n; f++) BEnc[f] = from.BEnc[f];
        for (var i = 0; i < d; i++) BDec[i] = from.BDec[i];
    }

    /// <summary>The step of SaeStep, phase by phase.</summary>
    /// <param name="raw">[B, d] unscaled input.</param>
    public void Step(ReadOnlySpan<float> raw, in StepScalars stepScalars)
    {
        Forward(raw, stepScalars);
        AuxLoss();
        Gradients();
        Optimize();
        for (var e = 0; e < B * k; e++)
            if (Value[e] > 0) LastFired[Index[e]] = (int)scalars.Step;
        Sums.Dead = LastFired.Count(t => scalars.Step - t >= scalars.DeadAfterSteps);
    }

    /// <summary>encode and decode: code, residual, ∂L/∂value and the sums of a step, weights unchanged.</summary>
    public void Forward(ReadOnlySpan<float> raw, in StepScalars stepScalars)
    {
        scalars = stepScalars;
        Sums = new StepSums { Step = scalars.Step };
        for (var i = 0; i < B * d; i++) X[i] = (double)raw[i] * scalars.InputScale;
        Encode();
        Decode();
    }

    double Centered(int b, int i) => rounding.Operand(X[b * d + i] - BDec[i]);

    /// <summary>x − b_dec as the backward gathers it.</summary>
    double CenteredRow(int b, int i) => rounding.Gathered(X[b * d + i] - BDec[i]);

    void Encode()
    {
        for (var b = 0; b < B; b++)
        {
            for (var f = 0; f < n; f++)
            {
                double sum = BEnc[f];
                for (var i = 0; i < d; i++) sum += Centered(b, i) * rounding.Operand(WEnc[f * d + i]);
                PreActs[b * n + f] = sum;
            }
            var chosen = Chosen is { } given ? given[(b * k)..((b + 1) * k)] : Largest(new ReadOnlySpan<double>(PreActs, b * n, n), k);
            for (var j = 0; j < k; j++)
            {
                Index[b * k + j] = chosen[j];
                var a = PreActs[b * n + chosen[j]];
                Value[b * k + j] = a > 0 ? a : 0;
            }
        }
    }

    /// <summary>Positions of the k largest numbers, ascending. NaN is lowest, −0 equals 0, of equal ones the lower position wins.</summary>
    public static int[] Largest(ReadOnlySpan<double> numbers, int k)
    {
        var order = new int[numbers.Length];
        var keys = new double[numbers.Length];
        for (var f = 0; f < numbers.Length; f++)
        {
            order[f] = f;
            keys[f] = numbers[f] + 0.0;
        }
        Array.Sort(order, (p, q) =>
        {
            var byValue = double.IsNaN(keys[p]) || double.IsNaN(keys[q])
                ? double.IsNaN(keys[p]).CompareTo(double.IsNaN(keys[q]))
                : keys[q].CompareTo(keys[p]);
            return byValue != 0 ? byValue : p.CompareTo(q);
        });
        var chosen = order[..k];
        Array.Sort(chosen);
        return chosen;
    }

    void Decode()
    {
        var mean = new double[d];
        for (var b = 0; b < B; b++)
        {
            double error = 0;
            for (var i = 0; i < d; i++)
            {
                var xhat = BDec[i];
                for (var j = 0; j < k; j++) xhat += Value[b * k + j] * rounding.Gathered(WDec[Index[b * k + j] * d + i]);
                var e = xhat - X[b * d + i];
                Residual[b * d + i] = e;
                error += e * e;
                mean[i] += X[b * d + i];
                Sums.SquaredNorm += X[b * d + i] * X[b * d + i];
            }
            Sums.SquaredError += error;
            for (var j = 0; j < k; j++)
            {
                double dot = 0;
                for (var i = 0; i < d; i++) dot += Residual[b * d + i] * rounding.Gathered(WDec[Index[b * k + j] * d + i]);
                ValueGrad[b * k + j] = Value[b * k + j] > 0 ? 2 * scalars.LossScale * dot : 0;
                if (Value[b * k + j] > 0) Sums.Active++;
            }
        }
        foreach (var m in mean) Sums.SquaredMean += m * m / B;
    }
}

/// <summary>Number formats that operands pass through on a target.</summary>
public sealed record Rounding(Func<double, double> Operand, Func<double, double> Gathered)
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
