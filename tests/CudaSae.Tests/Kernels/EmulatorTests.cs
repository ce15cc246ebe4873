using System.Diagnostics;
using System.Runtime.InteropServices;
using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>The emulator detects planted faults (tests/faults/faults.cu) and reports their place; their correct twins
/// pass under every schedule.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public unsafe class EmulatorTests
{
    [StructLayout(LayoutKind.Sequential)]
    struct FaultParams
    {
        public ulong In, Out;
        public int BreakRule;
    }

    /// <summary>Runs a kernel once on [threads] numbers. Returns the report, or "" when no rule was broken and the
    /// result is right.</summary>
    static string Run(string kernel, int threads, int floats, bool breakRule, ulong seed,
        Func<float[], int, float> expected)
    {
        var emulator = new Emulator(PlantedFaults.Library);
        emulator.SetSeed(seed);
        using var device = CudaDevice.OpenEmulator(PlantedFaults.Library);
        var stream = device.CreateStream();
        ulong from = device.Allocate(4 * floats), to = device.Allocate(4 * floats);
        try
        {
            var (input, output) = (Enumerable.Range(0, floats).Select(i => (float)i).ToArray(), new float[floats]);
            device.Upload<float>(from, input, stream);
            device.Launch(device.GetKernel(kernel, 1024), new(1, threads, 1024),
                new FaultParams { In = from, Out = to, BreakRule = breakRule ? 1 : 0 }, stream);
            device.Download<float>(output, to, stream);
            for (var i = 0; i < floats; i++) Assert.Equal(expected(input, i), output[i]);
            return "";
        }
        catch (CudaException e)
        {
            emulator.Forgive();
            return e.Message;
        }
        finally
        {
            device.Free(from);
            device.Free(to);
            device.DestroyStream(stream);
        }
    }

    [Theory]
    [InlineData("fault_barrier", 256, 256, 33, "race in shared memory.*no barrier between.*faults\\.cu:\\d+")]
    [InlineData("fault_wait", 64, 256, 0, "(cp\\.async was never waited for|race in shared memory)")]
    [InlineData("fault_bounds", 256, 256, 0, "write outside every allocation.*faults\\.cu:\\d+")]
    [InlineData("fault_mask", 32, 32, -1, "mask mismatch.*shfl_xor")]
    [InlineData("fault_divergence", 32, 32, -1, "deadlock.*; .*fault_divergence")]
    public void PlantedFaultIsCaughtAndItsTwinPasses(string kernel, int threads, int floats, int shift, string report)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        float Expected(float[] input, int i) => shift == -1 ? input[i ^ 1] : input[(i + shift) % floats];
        foreach (ulong seed in (ulong[])[0, 1, 2, 3, 4])
        {
            Assert.Equal("", Run(kernel, threads, floats, breakRule: false, seed, Expected));
            var caught = Run(kernel, threads, floats, breakRule: true, seed, Expected);
            Assert.Matches($"(?s){report}", caught);
            Assert.Contains(kernel, caught);
        }
    }

    [Fact]
    public void LeaksAreCounted()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var emulator = new Emulator(PlantedFaults.Library);
        using var device = CudaDevice.OpenEmulator(PlantedFaults.Library);
        var before = emulator.LiveAllocations;
        var leak = device.Allocate(100);
        Assert.Equal(before + 1, emulator.LiveAllocations);
        device.Free(leak);
        Assert.Equal(before, emulator.LiveAllocations);
    }

    [Fact]
    public void InjectedErrorsAreNamed()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var emulator = new Emulator(PlantedFaults.Library);
        using var device = CudaDevice.OpenEmulator(PlantedFaults.Library);
        emulator.FailNext("cuMemAlloc", 2);
        var message = Assert.Throws<CudaException>(() => device.Allocate(1 << 20)).Message;
        Assert.Contains("CUDA_ERROR_OUT_OF_MEMORY", message);
        Assert.Contains("1.0 MiB", message);
    }

    /// <summary>The engine's kernels under the race detector: whole training runs of the verifier, and 8-bit
    /// screening.</summary>
    [Fact]
    public void OwnKernelsDoNotRace()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var path = Path.Combine(Repository.Root, "artifacts", "emulator", "libcudasae_emulator_races.so");
        using var build = Process.Start(new ProcessStartInfo("bash",
            ["build/emulator.sh", "--races", path])
        {
            WorkingDirectory = Repository.Root,
            RedirectStandardOutput = true
        })!;
        build.StandardOutput.ReadToEnd();
        build.WaitForExit();
        Assert.Equal(0, build.ExitCode);
        var emulator = new Emulator(path);
        Run((8, 0), "adam", "aux, chosen of the dead", "clip by the global norm", "odd shapes",
            "gated, live decoder, L1 by norm", "gated, live decoder, L1 by norm, dense",
            "jumprelu, tanh and pre-activation loss", "relu, ghosts, dense", "matryoshka",
            "gated, matryoshka, live decoder, dense", "group max", "moments in eight bits", "transcoder, skip, gated",
            "relu, scaled tie");
        Run((9, 0), "adam", "odd shapes", "jumprelu, tanh and pre-activation loss");
        // Clusters, a skew, three tiles a block: the places of their constants are reused.
        HopperScreenTests.AssertSame(EncodeProblem.Make(Shape.Gaussian, rows: 131, width: 640, latents: 1500,
            active: 4),
            begin: 128, limit: 60, seed: 11, path);
        void Run((int, int) capability, params string[] names)
        {
            foreach (var name in names)
            {
                emulator.SetSeed(11);
                var verifier = new Verifier((spec, config, type) =>
                    new KernelBackend(CudaDevice.OpenEmulator(path, capability), spec, config, type, ownsDevice: true),
                    Rounding.BFloat16);
                var results = verifier.Run(VerifyCase.All.Single(c => c.Name == name));
                Assert.All(results, r => Assert.True(r.Passed, r.ToString()));
            }
        }
        Assert.Equal(0ul, emulator.LiveAllocations);
    }
}
