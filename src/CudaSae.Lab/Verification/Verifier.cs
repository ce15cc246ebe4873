using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Runs;
using CudaSae.Training;

namespace CudaSae.Lab.Verification;

/// <summary>Compares a target with <see cref="Reference"/>, step by step, for the tests and <c>cudasae
/// verify</c>.</summary>
/// <param name="create">Makes the target's backend, whose input is float32. With a share of a run on several ranks
/// (<see cref="IBackend.Shard"/>), all ranks run the same cases (<see cref="VerifyCase.Divided"/>) at the same
/// time.</param>
/// <param name="rounding">The number formats of the target's operands.</param>
sealed class Verifier(Func<SaeSpec, TrainConfig, InputType, IBackend> create, Rounding rounding)
{
    /// <summary>The difference that rounding explains: float32 sums on the CPU; one bfloat16 operand that is rounded
    /// the other way on the kernels; several such operands after a step from weights in bfloat16 storage.</summary>
    double Tolerance(VerifyCase c) => rounding == Rounding.None ? 2e-5 : StoresBFloat16(c) ? 1.0 / 32 : 1.0 / 256;

    /// <summary>The relative rounding error of a stored weight: half a unit of float32, or a whole unit of bfloat16,
    /// which rounds stochastically.</summary>
    double StoredError(VerifyCase c) => StoresBFloat16(c) ? Math.Pow(2, -7) : Math.Pow(2, -24);

    bool StoresBFloat16(VerifyCase c) => c.Config.Storage == WeightStorage.BFloat16 && rounding != Rounding.None;

    public IEnumerable<VerifyResult> Run() => VerifyCase.All.SelectMany(Run);

    /// <summary>Runs one case. It compares code and sums after every step, and the movement of each parameter at the
    /// end. Several ranks all return the largest differences of any rank.</summary>
    public IReadOnlyList<VerifyResult> Run(VerifyCase c)
    {
        var problem = c.Problem();
        var (spec, config) = (problem.Spec, problem.Config);
        using var backend = create(spec, config, InputType.Float32);
        backend.Dense = c.Dense;
        SetParameters(backend, problem.Parameters);
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
            c.Adjust?.Invoke(ref scalars);
            SmallProblem.Feed(backend, slot, batch);
            step.Run(slot, scalars);
            if (!c.Dense)
            {
                backend.ReadCode(code);
                reference.Chosen = spec.IsThresholded ? null : Kept(code, spec.Latents);
            }
            reference.Step(batch, scalars);
            if (!c.Dense)
                differences.Code(reference, code, spec, scalars.Inference == 1, onRanks: backend.Shard is not null);
            differences.Sums(reference.Sums, backend.ReadSums(), spec, reference.Window.Length > 0);
            differences.Firings(reference, backend);
        }
        using var moved = ShardWeights.GatherToAll(backend);
        differences.Parameters(problem.Parameters, moved, reference, spec, c.Steps * StoredError(c));
        if (backend.Shard is { } shard) differences.Agree(shard.Collective);
        return differences.Results(c.Name, Tolerance(c) * c.Slack);
    }

    static void SetParameters(IBackend backend, SaeParameters parameters)
    {
        if (backend.Shard is not { } shard)
        {
            backend.SetParameters(parameters);
            return;
        }
        using var own = OwnLatents.Rows(parameters, shard);
        backend.SetParameters(own);
    }

    static bool[] Kept(SparseCode code, int latents)
    {
        var kept = new bool[(long)code.Rows * latents];
        for (var e = 0; e < code.Value.Length; e++)
            if (code.Value[e] != 0) kept[e / code.Active * latents + code.Index[e]] = true;
        return kept;
    }
}

/// <summary>One comparison: the largest relative difference and the tolerance.</summary>
readonly record struct VerifyResult(string Case, string Quantity, double Difference, double Tolerance)
{
    public bool Passed => Difference <= Tolerance;     // false for NaN
    public override string ToString() =>
        $"{Case}, {Quantity}: {Difference:0.0e+0} of {Tolerance:0.0e+0}{(Passed ? "" : "  MISMATCH")}";
}

/// <summary>Collects relative differences, by quantity.</summary>
sealed class Differences
{
    readonly Dictionary<string, double> worst = [];

    void Note(string quantity, double difference)
    {
        if (!worst.TryGetValue(quantity, out var known) || !(difference <= known))
            worst[quantity] = double.IsNaN(difference) ? double.NaN : Math.Max(known, difference);
    }

    /// <summary>Replaces each difference by the largest one of all ranks.</summary>
    public void Agree(ICollective ranks)
    {
        var names = worst.Keys.ToArray();
        Span<long> extremes = [names.Length, -names.Length];
        ranks.Max(extremes);
        if (extremes[0] != -extremes[1])
        {
            Note("quantities of the ranks", double.NaN);
            return;
        }
        // The bits of numbers that are not negative have the order of the numbers.
        var bits = names.Select(name => Bits(worst[name])).ToArray();
        ranks.Max(bits);
        for (var i = 0; i < names.Length; i++) worst[names[i]] = BitConverter.Int64BitsToDouble(bits[i]);

        static long Bits(double number) =>
            double.IsNaN(number) ? long.MaxValue : BitConverter.DoubleToInt64Bits(Math.Abs(number));
    }

    /// <param name="onRanks">Whether the code is that of several ranks. Only its entries that fire are fixed
    /// then.</param>
    public void Code(Reference reference, SparseCode code, SaeSpec spec, bool inference, bool onRanks)
    {
        var n = spec.Latents;
        for (var b = 0; b < code.Rows; b++)
        {
            var preActs = reference.PreActs.AsSpan(b * n, n);
            var scale = 1e-30;
            foreach (var a in preActs) scale = Math.Max(scale, Math.Abs(a));
            var kept = code.Index.AsSpan(b * code.Active, code.Active);
            if (kept.IndexOf(-1) is >= 0 and var end) kept = kept[..end];
            var last = -1;
            var values = new double[n];
            for (var j = 0; j < kept.Length; j++)
            {
                if (kept[j] <= last) Note("order of the code", double.NaN);
                last = kept[j];
                values[kept[j]] = code.Value[b * code.Active + j];
            }
            for (var f = 0; f < n; f++) Note("code values", Math.Abs(values[f] - reference.Value[b * n + f]) / scale);
            if (spec.Selection is Selection.TopK { InitialK: 0 })
                Note("selection", (onRanks ? ExchangeOfFiring(preActs, values) : Exchange(preActs, kept)) / scale);
        }
        Note("order of the code", 0);
        if (spec.Selection is Selection.BatchTopK batch && !inference)
            Note("selection", BatchExchange(reference, spec, batch));
    }

    /// <summary>The largest amount by which a left-out number exceeds a kept one.</summary>
    static double Exchange(ReadOnlySpan<double> preActs, ReadOnlySpan<int> kept)
    {
        double smallestKept = double.PositiveInfinity, largestLeft = double.NegativeInfinity;
        for (var f = 0; f < preActs.Length; f++)
        {
            if (kept.BinarySearch(f) >= 0) smallestKept = Math.Min(smallestKept, preActs[f]);
            else largestLeft = Math.Max(largestLeft, preActs[f]);
        }
        return Math.Max(0, largestLeft - smallestKept);
    }

    /// <summary>The largest amount by which a positive number that does not fire exceeds one that does.</summary>
    static double ExchangeOfFiring(ReadOnlySpan<double> preActs, ReadOnlySpan<double> values)
    {
        double smallestFiring = double.PositiveInfinity, largestOther = 0;
        for (var f = 0; f < preActs.Length; f++)
        {
            if (values[f] != 0) smallestFiring = Math.Min(smallestFiring, preActs[f]);
            else largestOther = Math.Max(largestOther, preActs[f]);
        }
        return Math.Max(0, largestOther - smallestFiring);
    }

    /// <summary>Compares the target's choice, which the reference took, with the choice by the reference's numbers.
    /// Returns the distance between the numbers on which the two differ.</summary>
    static double BatchExchange(Reference reference, SaeSpec spec, Selection.BatchTopK batch)
    {
        var n = spec.Latents;
        var own = Enumerable.Range(0, reference.PreActs.Length / n)
            .SelectMany(b =>
                Reference.Largest(reference.PreActs.AsSpan(b * n, n), batch.Capacity(n)).Select(f => b * n + f))
            .Where(e => reference.PreActs[e] > 0).OrderByDescending(e => reference.PreActs[e]).ThenBy(e => e)
            .Take(reference.PreActs.Length / n * batch.K).ToHashSet();
        var wrong = Enumerable.Range(0, reference.PreActs.Length)
            .Where(e => own.Contains(e) != (reference.Value[e] != 0)).Select(e => reference.PreActs[e]).ToArray();
        return wrong.Length == 0 ? 0 : (wrong.Max() - wrong.Min()) / reference.PreActs.Max();
    }

    public void Sums(in StepSums expected, in StepSums actual, SaeSpec spec, bool dead)
    {
        Note("squared error", Relative(expected.SquaredError, actual.SquaredError));
        Note("error of all levels", Relative(expected.LevelError, actual.LevelError));
        Note("squared norm", Relative(expected.SquaredNorm, actual.SquaredNorm));
        Note("spread of the target", Relative(expected.Spread, actual.Spread));
        Note("norm of the reconstruction", Relative(expected.ReconstructionNorm, actual.ReconstructionNorm));
        Note("gradient norm", Relative(expected.GradientNorm, actual.GradientNorm));
        // A pre-activation within rounding of 0 may fire on one side alone.
        Note("active entries", Math.Abs(expected.Active - actual.Active) <= 1 ? 0 : double.NaN);
        Note("dead latents", expected.Dead == actual.Dead && expected.Step == actual.Step ? 0 : double.NaN);
        if (spec.Penalty is not null) Note("penalty", Relative(expected.Penalty, actual.Penalty));
        if (spec.Penalty is SparsityPenalty.Lp)
            Note("next penalty", Relative(expected.NextPenalty, actual.NextPenalty));
        if (spec.PreAct is not null) Note("pre-activation loss", Relative(expected.PreAct, actual.PreAct));
        if (spec.Selection is Selection.Gated) Note("gate error", Relative(expected.GateError, actual.GateError));
        if (spec.Selection is Selection.BatchTopK)
            Note("running threshold", Relative(expected.Threshold, actual.Threshold));
        if (spec.Aux is not null && dead)
        {
            Note("aux squared error", Relative(expected.AuxSquaredError, actual.AuxSquaredError));
            Note("aux variance", Relative(expected.AuxVariance, actual.AuxVariance));
        }
        if (spec.Ghost is not null && dead) Note("ghost loss", Relative(expected.Ghost, actual.Ghost));
    }

    public void Firings(Reference reference, IBackend backend)
    {
        var n = backend.Spec.Latents;
        var firings = new int[n];
        backend.ReadFirings(firings);
        for (var f = 0; f < n; f++)
        {
            var expected = 0;
            for (var e = f; e < reference.Value.Length; e += n) expected += reference.Value[e] != 0 ? 1 : 0;
            if (Math.Abs(expected - firings[f]) > 1) Note("firings", double.NaN);
        }
        Note("firings", 0);
    }

    /// <summary>‖movement − reference movement‖ / ‖reference movement‖ of each parameter array, minus the relative
    /// error from storing the weights after each step.</summary>
    public void Parameters(SaeParameters start, SaeParameters end, Reference reference, SaeSpec spec, double stored)
    {
        int n = spec.Latents, d = spec.InputWidth, D = spec.OutputWidth;
        Note("w_enc",
            Movement(n * d, i => start.WEnc[i / d][i % d], i => end.WEnc[i / d][i % d], i => reference.WEnc[i],
                stored));
        Note("w_dec",
            Movement(n * D, i => start.WDec[i / D][i % D], i => end.WDec[i / D][i % D], i => reference.WDec[i],
                stored));
        Note("b_enc", Movement(n, i => start.BEnc[i], i => end.BEnc[i], i => reference.BEnc[i], stored));
        Note("b_dec", Movement(D, i => start.BDec[i], i => end.BDec[i], i => reference.BDec[i], stored));
        if (start.Threshold.Length > 0)
            Note("threshold", Movement(n, i => start.Threshold[i], i => end.Threshold[i], reference.Theta, 4 * stored));
        if (start.BMag.Length > 0)
        {
            Note("b_mag", Movement(n, i => start.BMag[i], i => end.BMag[i], i => reference.BMag[i], stored));
            Note("r_mag", Movement(n, i => start.RMag[i], i => end.RMag[i], i => reference.RMag[i], stored));
        }
        if (start.Scale.Length > 0)
            Note("tie scale", Movement(n, i => start.Scale[i], i => end.Scale[i], i => reference.TieScale[i], stored));
        if (start.WSkip.Rows > 0)
            Note("w_skip",
                Movement(D * d, i => start.WSkip[i / d][i % d], i => end.WSkip[i / d][i % d], i => reference.WSkip[i],
                    stored));
    }

    static double Movement(int length, Func<int, double> start, Func<int, double> end, Func<int, double> reference,
        double stored)
    {
        double difference = 0, movement = 0, weights = 0;
        for (var i = 0; i < length; i++)
        {
            difference += Math.Pow(end(i) - reference(i), 2);
            movement += Math.Pow(reference(i) - start(i), 2);
            weights += reference(i) * reference(i);
        }
        var unexplained = Math.Sqrt(difference) - stored * Math.Sqrt(weights);
        return double.IsNaN(difference) ? double.NaN : Math.Max(0, unexplained) / Math.Sqrt(Math.Max(movement, 1e-300));
    }

    static double Relative(double expected, double actual) =>
        Math.Abs(expected - actual) / Math.Max(Math.Abs(expected), 1e-30);

    public IReadOnlyList<VerifyResult> Results(string name, double tolerance) =>
        [.. worst.Select(w => new VerifyResult(name, w.Key, w.Value, tolerance))];
}
