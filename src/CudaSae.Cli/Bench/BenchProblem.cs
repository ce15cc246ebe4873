using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Lab.Verification;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae.Cli;

/// <summary>Random weights and input of a step. None is zero, and all are exact in bfloat16, so that targets that round
/// their operands start from the same numbers as the others. The distribution is uniform with variance 1 / d and 1, and
/// each number depends only on its position.</summary>
sealed class BenchProblem : IDisposable
{
    const ulong Seed = 0x62656e6368;

    readonly int[] fired;       // [n] scratch
    readonly bool[] isDead;     // [n]

    /// <param name="dead">Number of latents that are dead when a step begins. They are spread at random: evenly spaced
    /// rows of narrow matrices would share their cache sets, unlike those of a run.</param>
    /// <exception cref="SaeException">The method has no auxiliary loss and no ghost gradients, or there are too few
    /// latents.</exception>
    public BenchProblem(SaeSpec spec, TrainConfig config, int dead = 0)
    {
        if (dead > 0 && (spec.Aux is null && spec.Ghost is null || dead >= spec.Latents))
            throw new SaeException($"--dead {dead}: it needs an auxiliary loss or ghost gradients, and more latents");
        (Spec, Config, Dead, fired, isDead) =
            (spec, config, dead, new int[dead > 0 ? spec.Latents : 0], new bool[spec.Latents]);
        var places = new RowPermutation(Seed, 0, spec.Latents);
        for (var i = 0; i < dead; i++) isDead[places[i]] = true;
        Parameters = new(spec);
        var scale = Math.Sqrt(12.0 / spec.InputWidth);
        ForEach(spec.Latents, spec.RowWidth, f =>
        {
            Fill(Parameters.WEnc[f], 1, f, scale);
            Fill(Parameters.WDec[f], 2, f, scale);
        });
        Fill(Parameters.BEnc, 3, 0, 0.2);
        Fill(Parameters.BMag, 4, 0, 0.2);
        Fill(Parameters.RMag, 5, 0, 0.2);
        for (var f = 0; f < Parameters.Threshold.Length; f++) Parameters.Threshold[f] = 1.5f;
        for (var i = 0L; i < Parameters.WSkip.Rows; i++) Fill(Parameters.WSkip[i], 6, i, scale);
    }

    public SaeSpec Spec { get; }
    public TrainConfig Config { get; }
    public int Dead { get; }
    public SaeParameters Parameters { get; }
    public BenchShape Shape => new(Config.BatchRows, Spec.InputWidth, Spec.Latents, Spec.Active, Dead);

    /// <summary>Whether <see cref="PhaseErrors"/> has formulas for the problem: TopK with its defaults. <c>cudasae
    /// verify</c> compares the others with the reference.</summary>
    public bool IsPlain =>
        Spec is
        {
            Selection: Selection.TopK { InitialK: 0 }, Nested: null, Transcoder: null, Sites: null, Penalty: null,
            Tying: Tying.Untied, PreAct: null
        };

    /// <summary>Row <paramref name="row"/> of the input, [row width].</summary>
    public void Input(int row, Span<float> into) => Fill(into, 7, row, Math.Sqrt(12));

    /// <summary>Runs the body for each row, on all cores if there is much work. The threads of a small problem would
    /// count as memory of the step.</summary>
    static void ForEach(int rows, int width, Action<int> body)
    {
        if ((long)rows * width > 1 << 26) Parallel.For(0, rows, body);
        else
            for (var i = 0; i < rows; i++) body(i);
    }

    static void Fill(Span<float> to, ulong what, long row, double width)
    {
        var key = (uint)(CounterRandom.Of(Seed, what, (ulong)row, 0) >> 32);
        for (var i = 0; i < to.Length; i++)
        {
            var x = (float)Rounding.ToBFloat16(((CounterRandom.Of(key, (uint)i)
                + 0.5) * (1.0 / 4294967296) - 0.5) * width);
            to[i] = x == 0 ? 1 / 1024f : x;
        }
    }

    /// <summary>Sets the weights, and fills both slots with the same input.</summary>
    public void Start(IBackend backend)
    {
        backend.SetParameters(Parameters);
        for (var slot = 0; slot < 2; slot++)
        {
            backend.WaitForSlot(slot);
            FillSlot(backend, slot);
        }
    }

    unsafe void FillSlot(IBackend backend, int slot)
    {
        fixed (byte* p = backend.InputSlot(slot))
        {
            var floats = (float*)p;
            ForEach(Config.BatchRows, Spec.RowWidth,
                b => Input(b, new(floats + (long)b * Spec.RowWidth, Spec.RowWidth)));
        }
    }

    /// <summary>Returns the scalars of step t, from 1. If there are dead latents, the steps begin late enough for them
    /// to be dead.</summary>
    public StepScalars Scalars(int t)
    {
        var scalars = Schedules.Scalars(Spec, Config, new(1, Spec.InputWidth), 1 + (t - 1) % Math.Max(1, Config.Steps));
        if (Dead > 0) scalars.Step = (uint)t + Schedules.DeadAfterSteps(Spec, Config);
        return scalars;
    }

    /// <summary>Prepares step t: the dead latents have never fired, and the others fired in the step before.</summary>
    public void MarkDead(IBackend backend, int t)
    {
        if (Dead == 0) return;
        var scalars = Scalars(t);
        for (var f = 0; f < fired.Length; f++) fired[f] = IsDead(f) ? 0 : (int)scalars.Step - 1;
        backend.WriteState(backend.State.Single(a => a.Name == "last_fired"), 0, MemoryMarshal.AsBytes<int>(fired));
        backend.AfterRestore(scalars.Step - 1, scalars.DeadAfterSteps);
    }

    public bool IsDead(int latent) => isDead[latent];

    public void Dispose() => Parameters.Dispose();
}
