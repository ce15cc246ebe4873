using System.Runtime.InteropServices;
using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The promises of every launcher of <see cref="IDevice"/>: graphs, the dense product, messages, no garbage,
/// no leak. The tests run on the emulator, where failures can be injected.</summary>
[Collection("emulator")]
public unsafe class DeviceTests
{
    public static TheoryData<string> Launchers =>
        [.. Targets.EmulatorLaunchers is { Length: > 0 } here ? here : ["own imports"]];

    static IDevice Open(string launcher)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        Targets.Emulator.SetSeed(0);
        return Targets.OpenEmulator(launcher);
    }

    /// <summary>Captures exclusive sums in two kernels, over numbers that change between replays of one
    /// recording.</summary>
    [Theory]
    [MemberData(nameof(Launchers))]
    public void GraphsReplayWhatWasCaptured(string launcher)
    {
        const int Length = 5000, Tiles = 3;
        using var device = Open(launcher);
        var stream = device.CreateStream();
        ulong input = device.Allocate(8 * Length), sums = device.Allocate(8 * Tiles), ticket = device.Allocate(4),
            output = device.Allocate(8 * (Length + 1));
        var host = (ulong*)device.AllocatePinned(8 * (Length + 1));
        var parameters = new ScanParams
        {
            Input = input, TileSums = sums, Ticket = ticket, Output = output, Length = Length, Tiles = Tiles
        };
        device.Fill32(ticket, 0, 1, stream);
        device.Fill32(output, 0xffffffff, 2 * (Length + 1), stream);
        device.BeginCapture(stream);
        foreach (var name in (string[])["scan_tiles", "scan_apply"])
            device.Launch(device.GetKernel(name, 72), new(Tiles, 256, 72), parameters, stream);
        device.CopyToHost(host, output, 8 * (Length + 1), stream);
        var graph = device.EndCapture(stream);
        host[Length] = 7;
        device.Synchronize(stream);
        Assert.Equal(7ul, host[Length]);        // recorded, not run
        foreach (var step in (ulong[])[1, 3])
        {
            for (var i = 0; i < Length; i++) host[i] = step * (ulong)i;
            device.CopyToDevice(input, host, 8 * Length, stream);
            device.LaunchGraph(graph, stream);
            device.Synchronize(stream);
            for (var i = 0; i <= Length; i++) Assert.Equal(i == 0 ? 0 : step * (ulong)i * (ulong)(i - 1) / 2, host[i]);
        }
        device.DestroyGraph(graph);
        foreach (var pointer in (ulong[])[input, sums, ticket, output]) device.Free(pointer);
        device.FreePinned(host);
        device.DestroyStream(stream);
    }

    /// <summary>The product reads bfloat16 and writes float32, with a row pitch above the row length. Small whole
    /// numbers make every sum exact.</summary>
    [Theory]
    [MemberData(nameof(Launchers))]
    public void GemmComputesTheProduct(string launcher)
    {
        const int M = 5, N = 7, K = 9, Lda = 11, Ldb = 10, Ldc = 8;
        using var device = Open(launcher);
        var stream = device.CreateStream();
        var random = new Random(3);
        int[] a = [.. Enumerable.Range(0, M * Lda).Select(_ => random.Next(-9, 10))],
        b = [.. Enumerable.Range(0, N * Ldb).Select(_ => random.Next(-9, 10))];
        ulong deviceA = Upload(a), deviceB = Upload(b), deviceC = device.Allocate(4 * M * Ldc);
        device.Fill32(deviceC, BitConverter.SingleToUInt32Bits(-1), M * Ldc, stream);
        device.GemmNT(M, N, K, deviceA, Lda, deviceB, Ldb, deviceC, Ldc, stream);
        var c = new float[M * Ldc];
        device.Download<float>(c, deviceC, stream);
        for (var i = 0; i < M; i++)
            for (var j = 0; j < Ldc; j++)
                Assert.Equal(j == N ? -1 : Enumerable.Range(0, K).Sum(p => a[i * Lda + p] * b[j * Ldb + p]),
                    c[i * Ldc + j]);
        foreach (var pointer in (ulong[])[deviceA, deviceB, deviceC]) device.Free(pointer);
        device.DestroyStream(stream);

        ulong Upload(int[] numbers)
        {
            ushort[] bf16 = [.. numbers.Select(x => (ushort)(BitConverter.SingleToUInt32Bits(x) >> 16))];
            var pointer = device.Allocate(2 * bf16.Length);
            device.Upload<ushort>(pointer, bf16, stream);
            return pointer;
        }
    }

    [Theory]
    [MemberData(nameof(Launchers))]
    public void FailuresNameTheCallAndTheRemedy(string launcher)
    {
        using var device = Open(launcher);
        var stream = device.CreateStream();
        var memory = device.Allocate(4096);
        var kernel = device.GetKernel("scan_tiles", 72);
        const string NoMemory = "CUDA error 2 (CUDA_ERROR_OUT_OF_MEMORY: out of memory) in",
            Advice = "; use fewer latents, smaller batches, or Storage = BFloat16";
        Fails("cuMemAlloc", 2, $"{NoMemory} allocate for 1.0 MiB{Advice}", () => device.Allocate(1 << 20));
        Fails("cuMemHostAlloc", 2, $"{NoMemory} allocateHost for 2.0 KiB{Advice}", () => device.AllocatePinned(2048));
        Fails("cuStreamCreate", 2, $"{NoMemory} createStream{Advice}", () => device.CreateStream());
        Fails("cuMemsetD32Async", 1, "CUDA error 1 (CUDA_ERROR_INVALID_VALUE: invalid argument) in fill32",
            () => device.Fill32(memory, 0, 1, stream));
        Fails("cuMemcpyDtoDAsync", 1, "CUDA error 1 (CUDA_ERROR_INVALID_VALUE: invalid argument) in copyOnDevice",
            () => device.CopyOnDevice(memory, memory, 4, stream));
        Fails("cuGraphInstantiate", 801,
            "CUDA error 801 (CUDA_ERROR_NOT_SUPPORTED: operation not supported) in instantiate", () =>
        {
            device.BeginCapture(stream);
            device.EndCapture(stream);
        });
        Fails("cuModuleLoadData", 719,
            "CUDA error 719 (CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure) in loadModule for kernels/prepare.cu"
            + "; the device is unusable until the process restarts: run cudasae verify, and please report it", () =>
                device.GetKernel("prepare", 0));
        Fails("cuLaunchKernel", 1,
            "CUDA error 1 (CUDA_ERROR_INVALID_VALUE: invalid argument) in cuLaunchKernel of scan_tiles, "
                + $"{new Launch(1, 256, 72)}",
            () => device.Launch(kernel, new(1, 256, 72), new ScanParams(), stream));
        Fails(null, 500,
            "CUDA error 500 (CUDA_ERROR_NOT_FOUND: named symbol not found) in getFunction for kernel nonsense",
            () => device.GetKernel("nonsense", 0));
        Assert.Equal("kernel scan_tiles needs 300000 bytes of shared memory, CudaSae emulator gives a block 232448",
            Assert.Throws<SaeException>(() => device.GetKernel("scan_tiles", 300_000)).Message);
        device.Free(memory);
        device.DestroyStream(stream);
        Fails(null, 1, "CUDA error 1 (CUDA_ERROR_INVALID_VALUE: invalid argument) in free", () => device.Free(memory));

        void Fails(string? call, int code, string message, Action action)
        {
            Targets.Emulator.Forgive();     // an older report would be a second line
            if (call is not null) Targets.Emulator.FailNext(call, code);
            var failure = Assert.Throws<CudaException>(action);
            Assert.Equal((code, message), (failure.Code, failure.Message));
        }
    }

    /// <summary>The message contains a broken kernel's report, and the failure of a whole backend leaks
    /// nothing.</summary>
    [Theory]
    [MemberData(nameof(Launchers))]
    public void NothingIsLeaked(string launcher)
    {
        using (var device = Open(launcher))
        {
            var stream = device.CreateStream();
            var host = device.AllocatePinned(8);
            var failure = Assert.Throws<CudaException>(() => device.CopyToDevice(64, host, 8, stream));
            Assert.EndsWith("in copyToDevice; copy to the device of 8 bytes leaves its allocation", failure.Message);
            Targets.Emulator.Forgive();
            device.FreePinned(host);
            device.DestroyStream(stream);
        }
        var before = Targets.Emulator.LiveAllocations;
        var problem = new SmallProblem(16, width: 40, latents: 150, active: 5);
        using (var whole = new KernelBackend(Targets.OpenEmulator(launcher), problem.Spec, problem.Config,
            InputType.Float32, ownsDevice: true))
        {
            whole.SetParameters(problem.Parameters);
            MemoryMarshal.AsBytes<float>(problem.Batch()).CopyTo(whole.InputSlot(0));
            new SaeStep(whole).Run(0, problem.Scalars(1));
            Assert.NotEqual(before, Targets.Emulator.LiveAllocations);
        }
        Assert.Equal(before, Targets.Emulator.LiveAllocations);
        Targets.Emulator.FailNext("cuMemAlloc", 2);
        using (var device = Targets.OpenEmulator(launcher))
            Assert.Contains("CUDA_ERROR_OUT_OF_MEMORY",
                Assert.Throws<CudaException>(() =>
                    new KernelBackend(device, problem.Spec, problem.Config, InputType.Float32)).Message);
        Assert.Equal(before, Targets.Emulator.LiveAllocations);
    }

    /// <summary>A kernel is one function for all callers: a request for less shared memory does not reduce the limit of
    /// an earlier request.</summary>
    [Theory]
    [MemberData(nameof(Launchers))]
    public void ASmallerSharedMemoryRequestKeepsTheLargerLimit(string launcher)
    {
        using var device = Open(launcher);
        var (stream, overflows) = (device.CreateStream(), device.Allocate(256));
        device.Fill32(overflows, 0, 1, stream);
        var large = device.GetKernel("select_final", 100_000);
        _ = device.GetKernel("select_final", 60_000);
        device.Launch(large, new(1, 128, 100_000), new SelectFinalParams { Overflows = overflows, Exact = 1 }, stream);
        device.Synchronize(stream);
        device.Free(overflows);
        device.DestroyStream(stream);
    }

    /// <summary>A launch allocates nothing: its parameters are the caller's struct, passed by pointer.</summary>
    [Theory]
    [MemberData(nameof(Launchers))]
    public void LaunchesAllocateNothing(string launcher)
    {
        using var device = Open(launcher);
        var stream = device.CreateStream();
        var sums = device.Allocate(64);
        device.Fill32(sums, 0, 16, stream);
        var kernel = device.GetKernel("scan_tiles", 72);
        var parameters = new ScanParams { TileSums = sums, Ticket = sums + 16, Output = sums + 32, Tiles = 1 };
        var (before, after) = (0L, 0L);
        for (var repeat = 0; repeat < 3; repeat++)      // the first call compiles
        {
            before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 10; i++) device.Launch(kernel, new(1, 256, 72), parameters, stream);
            after = GC.GetAllocatedBytesForCurrentThread();
        }
        Assert.Equal(before, after);
        device.Synchronize(stream);
        device.Free(sums);
        device.DestroyStream(stream);
    }

    /// <summary>A training run that is recorded after its first step makes the same calls as the engine's imports, so
    /// it gives the same bits.</summary>
    [Theory]
    [MemberData(nameof(Launchers))]
    public void LaunchersGiveTheSameBits(string launcher)
    {
        Assert.True(Train("own imports").AsSpan().SequenceEqual(Train(launcher)));

        static float[] Train(string launcher)
        {
            var problem = new SmallProblem(16, width: 40, latents: 150, active: 5);
            using var backend = new KernelBackend(Open(launcher), problem.Spec, problem.Config, InputType.Float32,
                ownsDevice: true);
            backend.SetParameters(problem.Parameters);
            var step = new SaeStep(backend);
            for (uint t = 1; t <= 4; t++)
            {
                SmallProblem.Feed(backend, (int)(t & 1), problem.Batch());
                step.Run((int)(t & 1), problem.Scalars(t));
            }
            backend.GetParameters(problem.Parameters);
            return [.. Enumerable.Range(0, 150)
                .SelectMany(f => problem.Parameters.WEnc[f].ToArray().Concat(problem.Parameters.WDec[f].ToArray())),
                .. problem.Parameters.BEnc, .. problem.Parameters.BDec];
        }
    }
}
