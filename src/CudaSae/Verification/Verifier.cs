using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Data;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Verification;

/// <summary>Holds a target against <see cref="Reference"/>, step by step. The same body serves the tests and <c>cudasae verify</c>.</summary>
/// <param name="create">Makes the target's backend; its input is float32.</param>
/// <param name="rounding">The formats that the target's operands pass through.</param>
public sealed class Verifier(Func<SaeSpec, TrainConfig, InputType, IBackend> create, Rounding rounding)
{
    /// <summary>What rounding explains: float32 sums on the CPU, one bfloat16 operand rounded the other way on kernels; after a step
    /// from weights that bfloat16 storage rounded, several.</summary>
    double Tolerance(VerifyCase c) => rounding == Rounding.None ? 2e-5 : StoresBFloat16(c) ? 1.0 / 32 : 1.0 / 256;

    /// <summary>Rounding of a stored weight, relative: half a unit of float32, or a whole one of bfloat16's, whose rounding is stochastic.</summary>
    double StoredError(VerifyCase c) => StoresBFloat16(c) ? Math.Pow(2, -7) : Math.Pow(2, -24);

    bool StoresBFloat16(VerifyCase c) => c.Config.Storage == WeightStorage.BFloat16 && rounding != Rounding.None;

    public IEnumerable<VerifyResult> Run() => VerifyCase.All.SelectMany(Run);

    /// <summary>Runs one case and compares after every step: code, sums, and how far each parameter has moved.</summary>
    public IReadOnlyList<VerifyResult> Run(VerifyCase c)
    {
        var problem = c.Problem();
        var (spec, config) = (problem.Spec, problem.Config);
        using var backend = create(spec, config, InputType.Float32);
        backend.SetParameters(problem.Parameters);
        var reference = new Reference(spec, config, rounding);
        reference.SetParameters(problem.Parameters);
        var step = new SaeStep(backend);
        var code = new SparseCode(config.BatchRows, spec.Active);
        var differences = new Differences();

        for (uint t = 1; t <= c.Steps; t++)
        {
            var batch = problem.Batch();
            var slot = (int)(t & 1);
            var scalars = problem.Scalars(t, c.LearningRate, c.DeadAfterSteps);
            backend.WaitForSlot(slot);
            MemoryMarshal.AsBytes<float>(batch).CopyTo(backend.InputSlot(slot));
            step.Run(slot, scalars);
            backend.ReadCode(code);
            reference.Chosen = (int[])code.Index.Clone();
            reference.Step(batch, scalars);
            differences.Code(reference, code, spec);
            differences.Sums(reference.Sums, backend.ReadSums(), spec.Aux is not null && reference.Window.Length > 0);
        }
        using var moved = new SaeParameters(spec);
        backend.GetParameters(moved);
        differences.Parameters(problem.Parameters, moved, reference, spec, c.Steps * StoredError(c));
        return differences.Results(c.Name, Tolerance(c));
    }
}

/// <summary>One comparison: the largest relative difference seen and what was allowed.</summary>
public readonly record struct VerifyResult(string Case, string Quantity, double Difference, double Tolerance)
{
    public bool Passed => Difference <= Tolerance;     // false for NaN
    public override string ToString() => $"{Case}, {Quantity}: {Difference:0.0e+0} of {Tolerance:0.0e+0}{(Passed ? "" : "  MISMATCH")}";
}

/// <summary>Collects relative differences, by quantity.</summary>
sealed class Differences
{
    readonly Dictionary<string, double> worst = [];

    void Note(string quantity, double difference)
    {
        if (!worst.TryGetValue(quantity, out var known) || !(difference <= known)) worst[quantity] = double.IsNaN(difference) ? double.NaN : Math.Max(known, difference);
    }

    public void Code(Reference reference, SparseCode code, SaeSpec spec)
    {
        for (var b = 0; b < code.Rows; b++)
        {
            var preActs = reference.PreActs.AsSpan(b * spec.Latents, spec.Latents);
            var scale = 1e-30;
            foreach (var a in preActs) scale = Math.Max(scale, Math.Abs(a));
            double smallestKept = double.PositiveInfinity, largestLeft = double.NegativeInfinity;
            var kept = code.Index.AsSpan(b * code.Active, code.Active);
            for (var f = 0; f < preActs.Length; f++)
            {
                if (kept.BinarySearch(f) >= 0) smallestKept = Math.Min(smallestKept, preActs[f]);
                else largestLeft = Math.Max(largestLeft, preActs[f]);
            }
            Note("selection", Math.Max(0, largestLeft - smallestKept) / scale);
            for (var j = 0; j < code.Active; j++)
            {
                if (j > 0 && kept[j] <= kept[j - 1]) Note("order of the code", double.NaN);
                Note("code values", Math.Abs(code.Value[b * code.Active + j] - reference.Value[b * code.Active + j]) / scale);
            }
        }
    }

    public void Sums(in StepSums expected, in StepSums actual, bool aux)
    {
        Note("squared error", Relative(expected.SquaredError, actual.SquaredError));
        Note("squared norm", Relative(expected.SquaredNorm, actual.SquaredNorm));
        Note("squared mean", Relative(expected.SquaredMean, actual.SquaredMean));
        Note("gradient norm", Relative(expected.GradientNorm, actual.GradientNorm));
        // A pre-activation within rounding of 0 may fire on one side alone.
        Note("active entries", Math.Abs(expected.Active - actual.Active) <= 1 ? 0 : double.NaN);
        Note("dead latents", expected.Dead == actual.Dead && expected.Step == actual.Step ? 0 : double.NaN);
        if (!aux) return;
        Note("aux squared error", Relative(expected.AuxSquaredError, actual.AuxSquaredError));
        Note("aux variance", Relative(expected.AuxVariance, actual.AuxVariance));
    }

    /// <summary>‖movement − reference movement‖ / ‖reference movement‖ of each parameter array, less what storing the weights
    /// after each step explains, relative to them.</summary>
    public void Parameters(SaeParameters start, SaeParameters end, Reference reference, SaeSpec spec, double stored)
    {
        int n = spec.Latents, d = spec.InputWidth;
        Note("w_enc", Movement(n * d, i => start.WEnc[i / d][i % d], i => end.WEnc[i / d][i % d], reference.WEnc, stored));
        Note("w_dec", Movement(n * d, i => start.WDec[i / d][i % d], i => end.WDec[i / d][i % d], reference.WDec, stored));
        Note("b_enc", Movement(n, i => start.BEnc[i], i => end.BEnc[i], reference.BEnc, stored));
        Note("b_dec", Movement(d, i => start.BDec[i], i => end.BDec[i], reference.BDec, stored));
    }

    static double Movement(int length, Func<int, double> start, Func<int, double> end, double[] reference, double stored)
    {
        double difference = 0, movement = 0, weights = 0;
        for (var i = 0; i < length; i++)
        {
            difference += Math.Pow(end(i) - reference[i], 2);
            movement += Math.Pow(reference[i] - start(i), 2);
            weights += reference[i] * reference[i];
        }
        var unexplained = Math.Sqrt(difference) - stored * Math.Sqrt(weights);
        return double.IsNaN(difference) ? double.NaN : Math.Max(0, unexplained) / Math.Sqrt(Math.Max(movement, 1e-300));
    }

    static double Relative(double expected, double actual) => Math.Abs(expected - actual) / Math.Max(Math.Abs(expected), 1e-30);

    public IReadOnlyList<VerifyResult> Results(string name, double tolerance) =>
        [.. worst.Select(w => new VerifyResult(name, w.Key, w.Value, tolerance))];
}
