using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>One step of the optimizer over a row, or over one number of a latent, with its moments and its moving
/// average.</summary>
sealed unsafe class OptimizerStep : CpuPart
{
    readonly int widest;
    readonly float* widened;        // [workers, 2, widest] narrow moments as float32

    public OptimizerStep(CpuContext context) : base(context)
    {
        widest = Math.Max(ld, lo);
        widened = context.Arena.Take<float>("widened moments",
            config.Moments == MomentStorage.Float32 ? 0 : 2L * workers.Count * widest);
    }

    /// <summary>The factor that clips a gradient of this norm.</summary>
    public float ClipFactor(double squaredNorm) => Math.Sqrt(squaredNorm) > step.Scalars.ClipNorm
        ? (float)(step.Scalars.ClipNorm / Math.Sqrt(squaredNorm)) : 1;

    /// <summary>v *= by.</summary>
    public static void Scale(float* v, float by, int length)
    {
        for (var i = 0; i < length; i += 16) (Vector512.Load(v + i) * by).Store(v + i);
    }

    /// <summary>One step over a row of a matrix.</summary>
    public void MoveRow(float* w, float* gradient, MatrixMoments moments, long row, int width, float factor, int worker)
    {
        if (moments.InPlace)
        {
            Move(w, gradient, moments.M(row), moments.V(row), width, factor, decays: true);
            return;
        }
        float* m = widened + 2L * worker * widest, v = m + widest;
        moments.Unpack(row, m, v);
        Move(w, gradient, m, v, width, factor, decays: true);
        moments.Pack(row, m, v, step.Scalars);
    }

    /// <summary>One step over numbers with float32 moments.</summary>
    public void Move(float* w, float* gradient, float* m, float* v, int length, float factor, bool decays)
    {
        ref readonly var scalars = ref step.Scalars;
        if (decays && scalars.WeightDecay > 0) Scale(w, 1 - scalars.LearningRate * scalars.WeightDecay, length);
        switch (config.Optimizer)
        {
            case OptimizerKind.Sgd: Rows.Add(w, -scalars.LearningRate * factor, gradient, length); break;
            case OptimizerKind.Signum: Signum(w, gradient, m, length, factor); break;
            default:
                if (scalars.Beta1 > 0) Adam(w, gradient, m, v, length, factor);
                else AdamWithoutMomentum(w, gradient, v, length, factor);
                break;
        }
    }

    void Adam(float* w, float* gradient, float* m, float* v, int length, float factor)
    {
        ref readonly var scalars = ref step.Scalars;
        Vector512<float> scale =
            Vector512.Create(factor), beta1 = Vector512.Create(scalars.Beta1), beta2 = Vector512.Create(scalars.Beta2);
        Vector512<float> rest1 = Vector512.Create(1 - scalars.Beta1), rest2 = Vector512.Create(1 - scalars.Beta2);
        Vector512<float> rate = Vector512.Create(scalars.LearningRate * scalars.Correction1),
            correction = Vector512.Create(scalars.Correction2), epsilon = Vector512.Create(scalars.Epsilon);
        for (var i = 0; i < length; i += 16)
        {
            var g = Vector512.Load(gradient + i) * scale;
            var mi = Vector512.Load(m + i) * beta1 + g * rest1;
            var vi = Vector512.Load(v + i) * beta2 + g * g * rest2;
            mi.Store(m + i);
            vi.Store(v + i);
            (Vector512.Load(w + i) - rate * mi / (Vector512.Sqrt(vi * correction) + epsilon)).Store(w + i);
        }
    }

    void AdamWithoutMomentum(float* w, float* gradient, float* v, int length, float factor)
    {
        ref readonly var scalars = ref step.Scalars;
        Vector512<float> scale = Vector512.Create(factor), beta2 = Vector512.Create(scalars.Beta2),
            rest2 = Vector512.Create(1 - scalars.Beta2);
        Vector512<float> rate = Vector512.Create(scalars.LearningRate),
            correction = Vector512.Create(scalars.Correction2), epsilon = Vector512.Create(scalars.Epsilon);
        for (var i = 0; i < length; i += 16)
        {
            var g = Vector512.Load(gradient + i) * scale;
            var vi = Vector512.Load(v + i) * beta2 + g * g * rest2;
            vi.Store(v + i);
            // 0 / (0 + 0) where a row never had a gradient and ε is 0: such a row stays where it is.
            var move = rate * g / (Vector512.Sqrt(vi * correction) + epsilon);
            (Vector512.Load(w + i) - Vector512.ConditionalSelect(Vector512.Equals(g, Vector512<float>.Zero),
                Vector512<float>.Zero, move)).Store(w + i);
        }
    }

    void Signum(float* w, float* gradient, float* m, int length, float factor)
    {
        ref readonly var scalars = ref step.Scalars;
        for (var i = 0; i < length; i++)
        {
            var mi = gradient[i] * factor;
            if (m is not null) mi = m[i] = scalars.Beta1 * m[i] + (1 - scalars.Beta1) * mi;
            if (mi != 0) w[i] -= scalars.LearningRate * MathF.Sign(mi);
        }
    }

    /// <summary>One step over one number of a latent.</summary>
    public void MoveOne(LatentVector vector, int f, float g)
    {
        if (!step.Learns(vector.Part)) return;
        ref readonly var scalars = ref step.Scalars;
        ref var w = ref vector.Weights[f];
        ref var m = ref vector.M[f];
        if (config.Optimizer == OptimizerKind.Sgd) w -= scalars.LearningRate * g;
        else
        {
            m = m * scalars.Beta1 + g * (1 - scalars.Beta1);
            if (config.Optimizer == OptimizerKind.Signum) w -= m == 0 ? 0 : scalars.LearningRate * MathF.Sign(m);
            else
            {
                ref var v = ref vector.V[f];
                v = v * scalars.Beta2 + g * g * (1 - scalars.Beta2);
                if (m != 0)
                    w -= scalars.LearningRate * scalars.Correction1 * m / (MathF.Sqrt(v * scalars.Correction2)
                        + scalars.Epsilon);
            }
        }
        if (vector.Average is not null) vector.Average[f] += (1 - scalars.EmaDecay) * (w - vector.Average[f]);
    }

    /// <summary>Moves an average towards the weights.</summary>
    public void Blend(float* average, float* w, int length)
    {
        var rest = Vector512.Create(1 - step.Scalars.EmaDecay);
        for (var i = 0; i < length; i += 16)
        {
            var a = Vector512.Load(average + i);
            (a + rest * (Vector512.Load(w + i) - a)).Store(average + i);
        }
    }
}
