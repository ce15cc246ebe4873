using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>A backend over a small problem, which the tests of known bugs share, and their targets.</summary>
public abstract class BugClassProblem
{
    public static TheoryData<string> TargetNames =>
        [.. Targets.Names.Where(t => !t.Contains("float32") && !t.Contains("candidates") && !t.Contains("one thread"))];

    /// <summary>Targets for problems of thousands of latents.</summary>
    public static TheoryData<string> OneOfEach =>
        [.. Targets.Names.Where(t => t is "cpu" or "emulator, schedule 7" or "cuda")];

    protected static readonly TrainConfig Sgd = new() { Optimizer = OptimizerKind.Sgd };

    private protected sealed class Run(string target, SaeSpec spec, TrainConfig config, int rows = 16) : IDisposable
    {
        public SmallProblem Problem { get; } = new(spec, rows, config);
        public IBackend Backend { get; } =
            Targets.Create(target)(spec, config with { BatchRows = rows, Vectors = 1000L * rows }, InputType.Float32);
        uint step;

        public StepSums Step(float[]? batch = null, Action<SaeParameters>? before = null, float rate = 0.25f,
            bool dense = false, uint deadAfter = 1, Func<StepScalars, StepScalars>? change = null)
        {
            if (step == 0)
            {
                before?.Invoke(Problem.Parameters);
                Backend.SetParameters(Problem.Parameters);
            }
            Backend.Dense = dense;
            step++;
            var slot = (int)(step & 1);
            SmallProblem.Feed(Backend, slot, batch ?? Problem.Batch());
            var scalars = Problem.Scalars(step, rate, deadAfter);
            new SaeStep(Backend).Run(slot, change is null ? scalars : change(scalars));
            return Backend.ReadSums();
        }

        public SaeParameters Read()
        {
            var p = new SaeParameters(Problem.Spec);
            Backend.GetParameters(p);
            return p;
        }

        public void Dispose()
        {
            Backend.Dispose();
            Problem.Parameters.Dispose();
        }
    }

    protected static SaeSpec TopK(AuxLoss? aux = null, DecoderNorm norm = DecoderNorm.Free) =>
        new() { InputWidth = 24, Latents = 60, Selection = new Selection.TopK(4), Aux = aux, DecoderNorm = norm };

    protected static SaeSpec Jump(ThresholdForm form = ThresholdForm.Direct) => new()
    {
        InputWidth = 24, Latents = 60,
        Selection = new Selection.JumpRelu(SmoothingKernel.Triangular, 0.5f, Form: form, Room: 60),
        DecoderNorm = DecoderNorm.Free,
        Penalty = new SparsityPenalty.L0 { Coefficient = 0.3f, WarmupFraction = 0 },
    };

    protected static bool Same(SaeParameters a, SaeParameters b, int f) =>
        a.WEnc[f].SequenceEqual(b.WEnc[f]) && a.WDec[f].SequenceEqual(b.WDec[f]) && a.BEnc[f] == b.BEnc[f];

    protected static void Silence(SaeParameters p)
    {
        Array.Fill(p.BEnc, -1);
        for (var f = 0; f < 60; f++) p.WEnc[f].Clear();
        Array.Clear(p.BDec);
    }
}
