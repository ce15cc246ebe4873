using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Backends.Kernels;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>Measures how far the output of a phase lies from float64 arithmetic on its input, on a sample of rows or
/// latents: the largest difference relative to the largest number compared with it. Each wrong entry in an index or a
/// counter counts 1. Step 1 from the problem's weights must have just run up to that phase.</summary>
sealed class PhaseErrors(BenchProblem problem, IPhases phases)
{
    const double SampleWork = 4e7;
    const int MostSamples = 16;

    readonly int B =
        problem.Config.BatchRows, d = problem.Spec.InputWidth, n = problem.Spec.Latents, k = problem.Spec.Active;
    readonly StepScalars scalars = problem.Scalars(1);

    int[] index = [];           // [B, k] from the encoder
    float[] value = [];

    /// <summary>Returns the error; null if this class has no formula. <c>cudasae verify</c> compares those phases with
    /// the reference.</summary>
    public double? Of(StepPhase phase) => phase switch
    {
        StepPhase.Prepare when problem.Spec.Transcoder is null => Prepared(),
        _ when !problem.IsPlain => null,
        StepPhase.Encode => Encoded(),
        StepPhase.Decode => Decoded(),
        StepPhase.Backward => Turned(),
        StepPhase.Optimize when problem.Config is
        {
            Optimizer: OptimizerKind.Adam, Beta1: > 0,
            Moments: MomentStorage.Float32, Clip: ClipKind.None, WeightDecay: 0
        }
            && problem.Spec.DecoderNorm == DecoderNorm.Unit =>
            Moved(),
        StepPhase.Latents => Fired(),
        _ => null,
    };

    IEnumerable<int> SampleRows(double workOfARow)
    {
        var count = (int)Math.Clamp(SampleWork / workOfARow, 1, Math.Min(MostSamples, B));
        return Enumerable.Range(0, count).Select(i => (int)((long)i * B / count));
    }

    double Prepared() => SampleRows(d).Max(b =>
    {
        var centered = Row(StepPhase.Prepare, "x_centered", b);
        return Worst(d, i => (double)X(b)[i] * scalars.InputScale, i => centered[i]);
    });

    float[] X(int row)
    {
        var x = new float[d];
        problem.Input(row, x);
        return x;
    }

    /// <summary>Returns the error of the kept values, or the amount by which a left-out pre-activation exceeds a kept
    /// one.</summary>
    double Encoded()
    {
        index = MemoryMarshal.Cast<byte, int>(All(StepPhase.Encode, "index")).ToArray();
        value = MemoryMarshal.Cast<byte, float>(All(StepPhase.Encode, "value")).ToArray();
        return SampleRows((double)n * d).Max(b =>
        {
            var (x, z) = (X(b), new double[n]);
            Parallel.For(0, n, f => z[f] = problem.Parameters.BEnc[f] + Dot(x, problem.Parameters.WEnc[f]));
            double scale = z.Max(Math.Abs), worst = 0, smallest = double.PositiveInfinity;
            for (var e = b * k; e < b * k + k; e++)
            {
                worst = Math.Max(worst, Math.Abs(value[e] - Math.Max(0, z[index[e]])));
                smallest = Math.Min(smallest, z[index[e]]);
                z[index[e]] = double.NegativeInfinity;
            }
            return Math.Max(worst, k < n ? z.Max() - smallest : 0) / scale;
        });
    }

    double Decoded() => SampleRows((double)k * d).Max(b =>
    {
        var (x, e, entries) = (X(b), new double[d], Enumerable.Range(b * k, k).Where(e => value[e] != 0).ToArray());
        for (var i = 0; i < d; i++) e[i] = -(double)x[i];
        foreach (var at in entries)
            for (var i = 0; i < d; i++) e[i] += (double)value[at] * problem.Parameters.WDec[index[at]][i];
        var residual = Row(StepPhase.Decode, "residual", b);
        var worst = Worst(d, i => e[i], i => residual[i]);
        if (entries.Length == 0) return worst;
        var gradient = Row(StepPhase.Decode, "value_grad", b);
        var exact = entries.Select(at =>
            2.0 * scalars.LossScale * Enumerable.Range(0, d).Sum(i => e[i] * problem.Parameters.WDec[index[at]][i]))
            .ToArray();
        return Math.Max(worst, Worst(entries.Length, i => exact[i], i => gradient[entries[i] - b * k]));
    });

    /// <summary>Counts the entries at a wrong position.</summary>
    double Turned()
    {
        var start = Starts();
        var entry = MemoryMarshal.Cast<byte, int>(All(StepPhase.Backward, "run_entry"));
        var wrong = Math.Abs(value.Count(v => v != 0) - entry.Length);
        for (var f = 0; f < n; f++)
            for (var at = start[f]; at < start[f + 1]; at++)
                if (index[entry[at]] != f || value[entry[at]] == 0 || at > start[f] && entry[at] <= entry[at - 1])
                    wrong++;
        return wrong;
    }

    int[] Starts()
    {
        var (bytes, output) = (All(StepPhase.Backward, "run_start"), Output(StepPhase.Backward, "run_start"));
        return output.Array.Type == "I32" ? MemoryMarshal.Cast<byte, int>(bytes).ToArray()
            : [.. MemoryMarshal.Cast<byte, ulong>(bytes).ToArray().Select(s => (int)(uint)s)];
    }

    /// <summary>Returns the error of the gradients, derived from the first moments after one step, and of Adam's update
    /// from the moments.</summary>
    double Moved()
    {
        var entry = MemoryMarshal.Cast<byte, int>(All(StepPhase.Backward, "run_entry")).ToArray();
        var start = Starts();
        var touched = Enumerable.Range(0, n).Where(f => start[f + 1] > start[f] && !problem.IsDead(f)).ToArray();
        var count = Math.Min(MostSamples, touched.Length);
        return Enumerable.Range(0, count).Select(i => touched[(long)i * touched.Length / count])
            .Select(f => Moved(f, entry.AsSpan(start[f]..start[f + 1]).ToArray())).DefaultIfEmpty(0).Max();
    }

    double Moved(int f, int[] run)
    {
        double[] enc = new double[d], dec = new double[d],
        w = [.. problem.Parameters.WDec[f].ToArray().Select(v => (double)v)];
        foreach (var at in run)
        {
            var (x, e, delta) = (Row(StepPhase.Prepare, "x_centered", at / k),
                Row(StepPhase.Decode, "residual", at / k), Row(StepPhase.Decode, "value_grad", at / k)[at % k]);
            for (var i = 0; i < d; i++)
            {
                enc[i] += (double)delta * x[i];
                dec[i] += 2.0 * scalars.LossScale * value[at] * e[i];
            }
        }
        var along = Enumerable.Range(0, d).Sum(i => dec[i] * w[i]);
        for (var i = 0; i < d; i++) dec[i] -= along * w[i];
        return Math.Max(Moved("enc", f, enc, problem.Parameters.WEnc[f].ToArray(), unit: false),
            Moved("dec", f, dec, problem.Parameters.WDec[f].ToArray(), unit: true));
    }

    double Moved(string matrix, int f, double[] gradient, float[] before, bool unit)
    {
        float[] m = Row(StepPhase.Optimize, $"adam_m_{matrix}", f), v = Row(StepPhase.Optimize, $"adam_v_{matrix}", f),
        after = Weights(matrix, f);
        var moved = new double[d];
        for (var i = 0; i < d; i++)
            moved[i] = before[i]
                - scalars.LearningRate * (double)scalars.Correction1 * m[i]
                    / (Math.Sqrt((double)v[i] * scalars.Correction2) + scalars.Epsilon);
        var norm = unit ? Math.Sqrt(moved.Sum(w => w * w)) : 1;
        return Math.Max(Worst(d, i => gradient[i], i => m[i] / (1 - (double)scalars.Beta1)),
            Worst(d, i => moved[i] / norm, i => after[i]));
    }

    float[] Weights(string matrix, int f)
    {
        if (phases.Outputs(StepPhase.Optimize).Any(o => o.Array.Name == $"w_{matrix}"))
            return Row(StepPhase.Optimize, $"w_{matrix}", f);
        var upper = RowBytes(StepPhase.Optimize, $"w_{matrix}_hi", f);
        var split = phases.Outputs(StepPhase.Optimize).Any(o => o.Array.Name == $"w_{matrix}_lo")
            ? RowBytes(StepPhase.Optimize, $"w_{matrix}_lo", f) : new byte[upper.Length];
        var hi = MemoryMarshal.Cast<byte, ushort>(upper);
        var lo = MemoryMarshal.Cast<byte, short>(split);
        var row = new float[hi.Length];
        for (var i = 0; i < row.Length; i++) row[i] = SplitFloat.Join(hi[i], lo[i]);
        return row;
    }

    double Fired()
    {
        var last = MemoryMarshal.Cast<byte, int>(All(StepPhase.Latents, "last_fired"));
        var fires = new bool[n];
        for (var e = 0; e < index.Length; e++) fires[index[e]] |= value[e] != 0;
        var wrong = 0;
        for (var f = 0; f < n; f++)
            if (last[f] != (fires[f] ? (int)scalars.Step : problem.Dead == 0 || problem.IsDead(f) ? 0
                : (int)scalars.Step - 1))
                wrong++;
        return wrong;
    }

    static double Dot(float[] x, ReadOnlySpan<float> w)
    {
        double sum = 0;
        for (var i = 0; i < x.Length; i++) sum += (double)x[i] * w[i];
        return sum;
    }

    static double Worst(int length, Func<int, double> exact, Func<int, double> actual)
    {
        double scale = 1e-30, worst = 0;
        for (var i = 0; i < length; i++)
            (scale, worst) = (Math.Max(scale, Math.Abs(exact(i))), Math.Max(worst, Math.Abs(exact(i) - actual(i))));
        return worst / scale;
    }

    PhaseOutput Output(StepPhase phase, string name) => phases.Outputs(phase).Single(o => o.Array.Name == name);

    byte[] All(StepPhase phase, string name)
    {
        var output = Output(phase, name);
        var bytes = new byte[output.Array.Bytes];
        phases.ReadOutput(output, 0, bytes);
        return bytes;
    }

    byte[] RowBytes(StepPhase phase, string name, int row)
    {
        var output = Output(phase, name);
        var bytes = new byte[output.Array.Bytes / output.Array.Shape[0]];
        phases.ReadOutput(output, row * (long)bytes.Length, bytes);
        return bytes;
    }

    /// <summary>Reads a row as float32.</summary>
    float[] Row(StepPhase phase, string name, int row)
    {
        var bytes = RowBytes(phase, name, row);
        return Output(phase, name).Array.Type == "F32" ? MemoryMarshal.Cast<byte, float>(bytes).ToArray()
            : [.. MemoryMarshal.Cast<byte, ushort>(bytes).ToArray()
                .Select(h => BitConverter.UInt32BitsToSingle((uint)h << 16))];
    }
}
