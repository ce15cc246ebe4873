using CudaSae.Devices;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>A GPU that cannot be used, simulated by stand-ins for NVIDIA's driver: tests/faults/driver.c, and the
/// emulator. Auto uses the CPU and prints the reason, cuda is refused with the reason, devices lists it, and the device
/// frees everything.</summary>
[Trait("speed", "slow")]
public class GpuRefusalTests
{
    const string NoCompiler = "the driver is compiled with gcc, on Linux";

    static readonly string? compiler = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
        .Select(folder => Path.Combine(folder, "gcc"))
        .FirstOrDefault(path => OperatingSystem.IsLinux() && File.Exists(path));

    /// <param name="driver">Kind of the folder's libcuda.so.1: fake, init-only, text or emulator.</param>
    static void MakeDriver(TemporaryFolder folder, string driver)
    {
        Directory.CreateDirectory(folder["driver"]);
        var library = folder["driver/libcuda.so.1"];
        if (driver == "text") File.WriteAllText(library, "no library");
        else if (driver == "emulator") File.CreateSymbolicLink(library, Emulator.FindLibrary()!);
        else
        {
            string[] only = driver == "init-only" ? ["-DINIT_ONLY"] : [];
            var source = Path.Combine(Repository.Root, "tests", "faults", "driver.c");
            var (code, _, error) = CliProgram.Run(new(compiler!, [.. only, "-shared", "-fPIC", "-o", library, source])
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            });
            Assert.True(code == 0, error);
        }
    }

    static (int Code, string Output, string Error) Run(TemporaryFolder folder, string fault, params string[] arguments)
    {
        var start = CliProgram.Start(arguments);
        start.Environment["LD_LIBRARY_PATH"] = folder["driver"];
        start.Environment["FAKE_DRIVER"] = start.Environment["CUDASAE_EMULATOR_FAULT"] = fault;
        start.Environment["FAKE_DRIVER_LOG"] = folder["left"];
        start.Environment["COLUMNS"] = "2000";
        var (code, output, error) = CliProgram.Run(start);
        return (code, string.Join(' ', output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), error);
    }

    static string[] Train(TemporaryFolder folder, string backend) =>
    [
        "train", NpyRows.Write(folder["x.npy"], 200, 8), "--latents", "16", "--k", "2", "--batch-rows", "8",
        "--vectors", "48", "--checkpoint-every", "2", "--backend", backend, "--out", folder[backend],
    ];

    /// <param name="when">open: the device does not open, so that devices lists the reason too. run: the device opens,
    /// but not for this run.</param>
    [Theory]
    [InlineData("text", "", "open",
        "the NVIDIA driver cannot be loaded: .*libcuda.so.1: (file too short|invalid ELF header)")]
    [InlineData("init-only", "", "open",
        "libcuda.so.1 lacks cuDriverGetVersion: the driver is too old; one that supports CUDA 12.0 or newer is needed")]
    [InlineData("fake", "cuInit=999", "open", "CUDA error 999 in init; the driver does not start")]
    [InlineData("fake", "count=-7", "open", "counts -7 devices, which cannot be")]
    [InlineData("fake", "version=11040", "open", "supports CUDA 11.4: the driver is too old")]
    [InlineData("fake", "major=7", "open", @"Fake\?GPU has compute capability 7.0; 8.0 or newer is needed")]
    [InlineData("fake", "cuDevicePrimaryCtxRetain=2", "open",
        "CUDA error 2 in retainContext; other processes hold the device's memory")]
    [InlineData("fake", "null=1", "open", "made no context and reported no error")]
    [InlineData("fake", "cuModuleLoadDataEx=222", "open",
        "CUDA error 222 in loadModule .*; the driver cannot load this build's kernels")]
    [InlineData("fake", "free=1000", "run", @"this run needs .* on Fake\?GPU, 1000 B are free")]
    [InlineData("fake", "cuMemAlloc_v2=2", "run", "CUDA error 2 in allocate for ")]
    public void AutoUsesTheCpuAndCudaIsRefusedWithTheReason(
        string driver, string fault, string when, string reason)
    {
        Assert.SkipWhen(compiler is null, NoCompiler);
        var needsKernels = when == "run" || reason.Contains("kernels");
        Assert.SkipWhen(needsKernels && !KernelModules.Embedded, KernelModules.HowToEmbed);
        using var folder = new TemporaryFolder();
        MakeDriver(folder, driver);

        var (code, output, error) = Run(folder, fault, Train(folder, "auto"));
        Assert.True(code == 0, error);
        Assert.Matches($@"cpu, [^(]*\(no GPU: .*{reason}", output);
        Assert.Single(System.Text.RegularExpressions.Regex.Matches(output, "no GPU: "));
        Assert.Equal("Cpu", RunRecord.Load(folder["auto"]).Backend);
        NothingIsLeft(folder, driver);

        if (driver == "fake" && fault is not ("cuInit=999" or "free=1000" or "cuMemAlloc_v2=2")) return;
        (code, _, error) = Run(folder, fault, Train(folder, "cuda"));
        Assert.Equal((2, 1), (code, error.Trim().Split('\n').Length));
        Assert.Matches(reason, error);
        Assert.Matches("use --backend cpu|use fewer latents|reported no error", error);
        Assert.False(Directory.Exists(folder["cuda"]));
        NothingIsLeft(folder, driver);

        if (when != "open") return;
        (code, output, _) = Run(folder, fault, "devices");
        Assert.Equal(0, code);
        Assert.Matches($"cuda (none|0 cannot be used): .*{reason}", output);
    }

    static void NothingIsLeft(TemporaryFolder folder, string driver)
    {
        const string Nothing = "0 contexts, 0 modules, 0 allocations, 0 handles";
        if (driver == "fake") Assert.Equal(Nothing, File.ReadAllText(folder["left"]));
    }

    /// <summary>A device that fails during a run does not cause a switch of the backend. The run ends with one line and
    /// resumes from its checkpoint, on the device that the record names, with the weights of an uninterrupted
    /// run.</summary>
    [Fact]
    public void AFailureDuringARunEndsItWithACheckpoint()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Targets.HasEmulator, "the emulator is not built");
        using var folder = new TemporaryFolder();
        MakeDriver(folder, "emulator");
        var (code, output, error) = Run(folder, "decode=719@3", Train(folder, "auto"));
        Assert.Equal((2, 1), (code, error.Trim().Split('\n').Length));
        Assert.Contains("CUDA error 719", error);
        Assert.DoesNotContain("no GPU", output);
        Assert.Equal("Cuda", RunRecord.Load(folder["auto"]).Backend);
        Assert.True(File.Exists(folder["auto/checkpoint/step-000000002.safetensors"]));

        Assert.Equal(2, Run(folder, "cuInit=999", "train", "--resume", folder["auto"]).Code);       // not on the CPU
        (code, _, error) = Run(folder, "", "train", "--resume", folder["auto"]);
        Assert.True(code == 0, error);
        (code, _, error) = Run(folder, "", Train(folder, "cuda"));
        Assert.True(code == 0, error);
        byte[] Weights(string run) => File.ReadAllBytes(Path.Combine(folder[run], "sae_weights.safetensors"));
        Assert.Equal(Weights("cuda"), Weights("auto"));
    }

    /// <summary>Commands that load a finished SAE, or make several backends, print the reason once too.</summary>
    [Fact]
    public void OtherCommandsPrintTheReasonOnce()
    {
        Assert.SkipWhen(compiler is null, NoCompiler);
        using var folder = new TemporaryFolder();
        MakeDriver(folder, "fake");
        Run(folder, "cuInit=999", Train(folder, "auto"));
        string[][] commands =
        [
            ["eval", folder["auto"], folder["x.npy"]],
            ["sweep", folder["x.npy"], "--presets", "topk", "--k", "2,4", "--latents", "16", "--batch-rows", "8",
                "--vectors", "16", "--out", folder["sweep"]],
            ["compare", folder["x.npy"], "--presets", "topk", "--latents", "16", "--l0", "2", "--vectors", "1024"],
        ];
        foreach (var command in commands)
        {
            var (code, output, error) = Run(folder, "cuInit=999", command);
            Assert.True(code == 0, $"{command[0]}: {error}");
            Assert.Single(System.Text.RegularExpressions.Regex.Matches(output, "no GPU: CUDA error 999 in init"));
        }
    }
}
