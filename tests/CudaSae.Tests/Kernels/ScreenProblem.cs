using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Training with and without 8-bit screening on the emulator.</summary>
static class ScreenProblem
{
    public sealed record Trained(float[] Weights, StepSums Sums, SparseCode Code, sbyte[] Shadow);

    public static readonly SaeSpec TopK = new()
    {
        InputWidth = 40, Latents = 300, Selection = new Selection.TopK(5), Aux = new(8, 0.3f, 16)
    };

    /// <summary>Runs steps with 64 candidates a row.</summary>
    /// <param name="margin">Factor on the bound's margin.</param>
    /// <param name="moveAfter">The step after which the state moves to a fresh backend, which then evaluates.</param>
    /// <param name="backTo">The step whose state is restored after two steps on other rows.</param>
    /// <param name="hopper">Whether to run on an emulated device of capability 9.0.</param>
    public static Trained Train(SaeSpec spec, TrainConfig config, int steps, float margin = 1, ulong seed = 1,
        int moveAfter = 0, int backTo = 0, int rows = 8, bool hopper = false)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        Targets.Emulator.SetSeed(seed);
        var problem = new SmallProblem(spec, rows, config);
        var backend = Open();
        var order = new SaeStep(backend);
        try
        {
            backend.SetParameters(problem.Parameters);
            for (uint t = 1; t <= steps; t++)
            {
                Step(problem.Batch(), t);
                if (t == moveAfter)
                {
                    var old = backend;
                    backend = Open();
                    Restore(States.Of(old), t);
                    old.Dispose();
                    order = new(backend);
                    Evaluate();
                }
                if (t != backTo) continue;
                var saved = States.Of(backend);
                var garbage = Enumerable.Range(0, rows * spec.RowWidth).Select(i => (i * 7 % 11 - 5f) / 4).ToArray();
                for (var i = 1u; i <= 2; i++) Step(garbage, t + i);
                Restore(saved, t);
            }
            backend.GetParameters(problem.Parameters);
            var code = new SparseCode(rows, spec.Active);
            backend.ReadCode(code);
            return new([.. Enumerable.Range(0, spec.Latents)
                .SelectMany(f => problem.Parameters.WEnc[f].ToArray().Concat(problem.Parameters.WDec[f].ToArray())),
                .. problem.Parameters.BEnc, .. problem.Parameters.BDec],
                backend.ReadSums(), code, backend.Screen is { } screen ? Download(screen.Shadow) : []);
        }
        finally { backend.Dispose(); }

        KernelBackend Open()
        {
            var backend = new KernelBackend(hopper ? Targets.OpenEmulator((9, 0)) : Targets.OpenEmulator(),
                problem.Spec, problem.Config, InputType.Float32, ownsDevice: true,
                new KernelVariant { EncodeCapacity = 64 });
            if (backend.Screen is { } screen) screen.MarginFactor = margin;
            return backend;
        }

        void Step(float[] batch, uint t)
        {
            SmallProblem.Feed(backend, (int)(t & 1), batch);
            order.Run((int)(t & 1), problem.Scalars(t));
        }

        void Restore(byte[][] saved, uint t)
        {
            foreach (var (array, bytes) in backend.State.Zip(saved)) backend.WriteState(array, 0, bytes);
            backend.AfterRestore(t, problem.Scalars(t).DeadAfterSteps);
        }

        // The evaluation has the number of another step, at which training would change the scales.
        void Evaluate()
        {
            var scalars = problem.Scalars(1025);
            scalars.Inference = 1;
            SmallProblem.Feed(backend, 0, new float[rows * spec.RowWidth]);
            new SaeStep(backend).Evaluate(0, scalars);
            backend.ReadSums();
        }
    }

    // The copy uses the null stream, which waits for the other streams as on a GPU.
    public static unsafe T[] Download<T>(DeviceArray<T> array) where T : unmanaged
    {
        using var device = Targets.OpenEmulator();
        var to = new T[array.Length];
        device.Download<T>(to, array.Pointer, 0);
        return to;
    }

    public static readonly TrainConfig Screened = new() { Screening = ScreeningKind.Int8, ScreeningAudit = 2 };
}
