using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Hot latents as dense columns: the step equals one without them, the list is right, and the state resumes
/// bit for bit.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public unsafe class HotTests
{
    // The list is made at step 100, so runs begin shortly before it.
    const uint First = 99;
    const int Rows = 24, Latents = 100, Width = 24;
    static readonly int[] Often = [3, 64, 99];

    static SmallProblem Problem(float density, OptimizerKind optimizer = OptimizerKind.Sgd, Selection? selection = null)
    {
        var spec = new SaeSpec
        {
            InputWidth = Width, Latents = Latents, Selection = selection ?? new Selection.TopK(6),
            Aux = new(8, 0.3f, 16)
        };
        var problem = new SmallProblem(spec, Rows, new() { Optimizer = optimizer, HotDensity = density });
        foreach (var f in Often) problem.Parameters.BEnc[f] = 10;
        return problem;
    }

    static void Steps(IBackend backend, SmallProblem problem, float[][] batches, uint from, uint to,
        Action<uint>? after = null)
    {
        var step = new SaeStep(backend);
        for (var t = from; t <= to; t++)
        {
            SmallProblem.Feed(backend, (int)(t & 1), batches[t - First]);
            step.Run((int)(t & 1), problem.Scalars(t, deadAfterSteps: 100));
            backend.ReadSums();
            after?.Invoke(t);
        }
    }

    static float[][] Batches(SmallProblem problem) => [.. Enumerable.Range(0, 8).Select(_ => problem.Batch())];

    static float[] Flat(IBackend backend, SmallProblem problem)
    {
        backend.GetParameters(problem.Parameters);
        var p = problem.Parameters;
        return [.. Enumerable.Range(0, Latents).SelectMany(f => p.WEnc[f].ToArray().Concat(p.WDec[f].ToArray())),
            .. p.BEnc, .. p.BDec];
    }

    static int[] List(IBackend backend) =>
        States.Numbers<int>(backend, "hot_latents")[..States.Numbers<int>(backend, "hot_count")[0]];

    static IBackend Open(SmallProblem problem, int schedule = 0)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var backend = Targets.Create($"emulator, schedule {schedule}")(problem.Spec, problem.Config, InputType.Float32);
        backend.SetParameters(problem.Parameters);
        return backend;
    }

    // Share of the rows of 100 batches on which a hot latent fires: a quarter of the rows of two batches.
    const float Density = 0.005f;

    [Fact]
    public void TheListHoldsFrequentLatents()
    {
        var problem = Problem(Density);
        using var backend = Open(problem);
        var (firings, code) = (new int[Latents], new SparseCode(Rows, 6));
        Steps(backend, problem, Batches(problem), First, 101, t =>
        {
            if (t == 100) Assert.All(States.Numbers<int>(backend, "hot_firings"), count => Assert.Equal(0, count));
            if (t > 100) return;
            Assert.Equal(t == 100, States.Numbers<int>(backend, "hot_count")[0] > 0);
            backend.ReadCode(code);
            for (var e = 0; e < code.Value.Length; e++)
                if (code.Value[e] != 0) firings[code.Index[e]]++;
        });
        Assert.Equal(Enumerable.Range(0, Latents).Where(f => firings[f] >= Density * Rows * HotPhase.Every),
            List(backend));
        Assert.Empty(Often.Except(List(backend)));
    }

    // e differs by less than 2^-16 of Σ|f w|. That changes sums of terms e f by the same share, or changes bfloat16's
    // rounding of one e, which is 2^-8 of one term among B. The bound is therefore 2^-10 of the largest movement;
    // without the hot latents' gradients the difference exceeds half of it.
    [Theory]
    [InlineData("topk")]
    [InlineData("batch")]
    [InlineData("abs")]
    public void AStepMatchesOneWithoutHotLatents(string selection)
    {
        Selection chosen = selection switch
        {
            "batch" => new Selection.BatchTopK(6),
            "abs" => new Selection.AbsTopK(6),
            _ => new Selection.TopK(6)
        };
        SmallProblem plain = Problem(0, selection: chosen), hot = Problem(Density, selection: chosen);
        var batches = Batches(plain);
        using IBackend first = Open(plain), second = Open(hot, schedule: 5);
        Steps(first, plain, batches, First, 100);
        Steps(second, hot, batches, First, 100);
        var before = Flat(first, plain);
        Assert.Equal(before, Flat(second, hot));
        Steps(first, plain, batches, 101, 101);
        Steps(second, hot, batches, 101, 101);
        Assert.NotEmpty(List(second));
        float[] a = Flat(first, plain), b = Flat(second, hot);
        double moved = 0, worst = 0;
        for (var i = 0; i < a.Length; i++)
            (moved, worst) = (Math.Max(moved, Math.Abs(a[i] - before[i])), Math.Max(worst, Math.Abs(a[i] - b[i])));
        Assert.True(moved > 0.01 && worst <= moved / 1024, $"{worst} apart, moved by {moved}");
        StepSums x = first.ReadSums(), y = second.ReadSums();
        Assert.Equal(x.Active, y.Active);
        Assert.Equal(x.SquaredError, y.SquaredError, x.SquaredError * 1e-4);
    }

    [Fact]
    public void AResumedRunIsBitwiseEqual()
    {
        var problem = Problem(Density, OptimizerKind.Adam);
        var batches = Batches(problem);
        using var whole = Open(problem, schedule: 1);
        Steps(whole, problem, batches, First, 102);
        using var first = Open(problem, schedule: 2);
        Steps(first, problem, batches, First, 101);
        using var second = Targets.Create("emulator, schedule 3")(problem.Spec, problem.Config, InputType.Float32);
        States.Copy(first, second);
        second.AfterRestore(101, 100);
        Steps(second, problem, batches, 102, 102);
        Assert.NotEmpty(List(second));
        var expected = Flat(whole, problem);
        Assert.True(expected.AsSpan().SequenceEqual(Flat(second, problem)));
    }

    // The test calls the kernel directly: hysteresis, a full list, a latent count beyond one block, and the steps in
    // between.
    [Theory]
    [InlineData(100u, 2500, 2048)]
    [InlineData(200u, 2500, 16)]
    [InlineData(199u, 2500, 2048)]
    public void LatentsLeaveAtHalfTheDensity(uint step, int latents, int most)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        const int rows = 64;
        const float density = 0.03f;        // 192 firings to enter, 96 to stay
        using var device = Targets.OpenEmulator();
        using var owned = new Owned(device);
        var random = new Random((int)step);
        int[] firings = [.. Enumerable.Range(0, latents)
            .Select(_ => random.Next(6) == 0 ? random.Next(90, 200) : random.Next(90))];
        int[] old = [.. Enumerable.Range(0, latents).Where(f => f % 3 == 0).Take(most)];
        var list = new int[most];
        old.CopyTo(list, 0);
        ulong Upload<T>(T[] from) where T : unmanaged
        {
            var to = owned.Memory((long)from.Length * sizeof(T));
            device.Upload<T>(to, from, 0);
            return to;
        }
        int[] Download(ulong from, int length)
        {
            var to = new int[length];
            device.Download<int>(to, from, 0);
            return to;
        }
        var p = new HotParams
        {
            Scalars = Upload(new[] { new StepScalars { Step = step } }), Firings = Upload(firings), Hot = Upload(list),
            HotCount = Upload(new[] { old.Length }), Latents = latents, Rows = rows, Capacity = most,
            Density = density,
        };
        device.Launch(device.GetKernel("hot_list", 128), new(1, 1024, 128), p, 0);
        var expected = step % HotPhase.Every != 0 ? old
            : [.. Enumerable.Range(0, latents).Where(f => firings[f] >= (old.Contains(f) ? 96 : 192)).Take(most)];
        var count = Download(p.HotCount, 1)[0];
        Assert.Equal(expected, Download(p.Hot, most)[..count]);
        Assert.Equal(step % HotPhase.Every != 0 ? firings : new int[latents], Download(p.Firings, latents));
    }

    [Fact]
    public void UnsupportedSpecsAreRefused()
    {
        var spec = new SaeSpec { InputWidth = 8, Latents = 16, Selection = new Selection.JumpRelu() };
        Assert.Contains("HotDensity",
            Assert.Throws<SaeException>(() =>
                KernelBackend.PlanFor(spec, new() { HotDensity = 0.01f }, InputType.Float32)).Message);
    }
}
