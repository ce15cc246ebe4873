using System.Text.RegularExpressions;
using CudaSae.Backends.Kernels;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Compares decode and update with the reference in every shape: rows of one to three vectors a lane, a block
/// a latent, slices of 256, 128 and 64 columns, long runs.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class UpdateTests
{
    static readonly TrainConfig Adam = new() { Epsilon = 0.1f };

    static SaeSpec Spec(int width, int latents, int active) =>
        new() { InputWidth = width, Latents = latents, Selection = new Selection.TopK(active), Aux = new(4, 0.5f, 8) };

    /// <summary>Name of the kernel, width, latents, k, rows.</summary>
    [Theory]
    [InlineData("update_256", 205, 40, 4, 5)]
    [InlineData("update_512", 300, 30, 4, 5)]           // not a multiple of eight, nor of a slice
    [InlineData("update_768", 641, 20, 3, 4)]
    [InlineData("update_2560", 801, 12, 3, 4)]
    [InlineData("update_2560", 2100, 8, 2, 3)]
    [InlineData("update_4096", 2600, 8, 2, 3)]
    [InlineData("update_general_12288", 4161, 6, 2, 3)]
    [InlineData("update_512", 264, 4, 3, 600)]          // runs of more than 256 entries, in two slices
    [InlineData("update_512", 320, 150, 70, 2)]         // slices of 128 columns
    [InlineData("update_256", 100, 300, 130, 2)]        // slices of 64 columns
    public void EveryWidthMatchesTheReference(string kernel, int width, int latents, int active, int rows)
    {
        var check = new VerifyCase("width", Spec(width, latents, active), Adam, Steps: 2, Rows: rows);
        Assert.Equal(kernel,
            UpdateKernel.For(check.Spec, check.Config, (width + 63) & ~63, (width + 63) & ~63, general: false).Name);
        string[] targets = [.. Targets.HasEmulator ? (string[])["emulator, schedule 4"] : [],
            .. Targets.HasGpu(out _) ? (string[])["cuda"] : []];
        Assert.SkipWhen(targets.Length == 0, "the emulator is not built on this machine, and there is no GPU");
        foreach (var target in targets)
        {
            var results = new Verifier(Targets.Create(target), Targets.Rounding(target)).Run(check);
            Assert.All(results, r => Assert.True(r.Passed, $"{target}: {r}"));
        }
    }

    /// <summary>The kernel for all methods gives the same result as the plain kernel. Both sum in fixed orders, but the
    /// orders differ.</summary>
    [Theory]
    [InlineData(MomentStorage.Float32, WeightStorage.SplitFloat32, OptimizerKind.Adam)]
    [InlineData(MomentStorage.BFloat16, WeightStorage.SplitFloat32, OptimizerKind.Adam)]
    [InlineData(MomentStorage.Float32, WeightStorage.SplitFloat32, OptimizerKind.Signum)]
    public void PlainKernelEqualsTheGeneralOne(MomentStorage moments, WeightStorage storage, OptimizerKind optimizer)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var config = Adam with
        {
            Moments = moments,
            Storage = storage,
            Optimizer = optimizer,
            Clip = ClipKind.GlobalNorm,
            ClipNorm = 0.5f
        };
        var (plain, general) = (Train(false), Train(true));
        // A step moves a weight by at most the learning rate. Where a gradient consists of rounding errors, Signum
        // moves it in either direction, and bfloat16 moments round to either side.
        var loose = plain.Zip(general).Count(pair => Math.Abs(pair.First - pair.Second) > 1e-5);
        Assert.True(loose <= plain.Length / 500, $"{loose} of {plain.Length} weights differ");
        Assert.All(plain.Zip(general), pair => Assert.InRange(pair.First - pair.Second, -0.061, 0.061));

        float[] Train(bool all)
        {
            var problem = new SmallProblem(Spec(300, 40, 4), rows: 6, config);
            Targets.Emulator.SetSeed(6);
            using var backend = new KernelBackend(Targets.OpenEmulator(), problem.Spec, problem.Config,
                InputType.Float32, ownsDevice: true, new KernelVariant { GeneralUpdate = all });
            backend.SetParameters(problem.Parameters);
            var step = new SaeStep(backend);
            for (uint t = 1; t <= 3; t++)
            {
                SmallProblem.Feed(backend, (int)(t & 1), problem.Batch());
                step.Run((int)(t & 1), problem.Scalars(t, deadAfterSteps: 1));
            }
            backend.GetParameters(problem.Parameters);
            return [.. Enumerable.Range(0, 40)
                .SelectMany(f => problem.Parameters.WEnc[f].ToArray().Concat(problem.Parameters.WDec[f].ToArray())),
                .. problem.Parameters.BEnc, .. problem.Parameters.BDec];
        }
    }

    /// <summary>Width, blocks that fit a multiprocessor, latents, multiprocessors, blocks of a launch.</summary>
    [Theory]
    [InlineData(512, 3, 1 << 20, 132, 1980)]        // H100, H200: 5 waves of 396
    [InlineData(512, 3, 1 << 20, 108, 1944)]        // A100: 6 waves of 324
    [InlineData(2304, 2, 65536, 132, 1848)]         // 7 waves of 264
    [InlineData(1024, 5, 65536, 132, 1980)]         // 3 waves of 660: blocks of 4 warps
    [InlineData(4096, 1, 65536, 132, 1980)]
    [InlineData(512, 3, 1000, 132, 250)]            // 4 latents a block
    [InlineData(2304, 2, 1000, 132, 1000)]
    [InlineData(512, 3, 40, 4, 10)]
    [InlineData(512, 3, 1 << 20, 4, 2040)]
    [InlineData(512, 3, 1 << 20, 700, 2048)]        // a wave larger than the buffers
    public void BlocksFillWholeWaves(int width, int resident, int latents, int multiprocessors, int blocks)
    {
        var kernel = UpdateKernel.For(Spec(width, latents, 8), Adam, width, width, general: false);
        Assert.Equal((resident, blocks), (kernel.Resident, kernel.Blocks(latents, multiprocessors)));
        Assert.InRange(blocks, 1, kernel.Blocks(latents));
        Assert.InRange(kernel.Blocks(latents), 1, Math.Min(latents, 2048));
    }

    // kernel-gate.sh checks that the registers allow these warps and no more.
    [Fact]
    public void WarpsMatchTheLaunchBounds()
    {
        var source = File.ReadAllText(Path.Combine(Repository.Root, "kernels", "update.cu"));
        (int, bool)[] all =
        [
            (64, false), (512, false), (768, false), (2304, false), (4096, false),
            (512, true), (4096, true), (12288, true),
        ];
        foreach (var (width, general) in all)
        {
            var kernel = UpdateKernel.For(Spec(width, 8, 2), Adam, width, width, general);
            var bounds = Regex.Match(source, $@"SAE_KERNEL\({kernel.Name}, UpdateParams, (\d+)(?:, (\d+))?\)");
            var threads = int.Parse(bounds.Groups[1].Value);
            var blocks = bounds.Groups[2].Success ? int.Parse(bounds.Groups[2].Value) : 1;
            Assert.Equal((kernel.Name, threads * blocks / 32), (kernel.Name, kernel.Warps));
            Assert.InRange(kernel.Threads, 32, threads);
        }
    }

    [Fact]
    public void RowsWiderThanTheKernelsAreRefused() =>
        Assert.Contains("wider than the limit of the update kernels",
            Assert.Throws<SaeException>(() =>
                UpdateKernel.For(Spec(13000, 8, 2), Adam, 13056, 13056, general: false)).Message);
}
