namespace CudaSae.Devices;

/// <summary>The interface to a device: memory, kernels, streams, events, graphs and one dense matrix product. It is
/// implemented on the CUDA driver API; the emulator uses the same implementation with another library. Every failure is
/// a <see cref="CudaException"/>. All work is asynchronous on its stream until <see cref="Synchronize"/> or an event
/// wait.</summary>
unsafe interface IDevice : IDisposable
{
    DeviceInfo Info { get; }

    /// <summary>Returns the bytes that are free on the device now.</summary>
    long FreeBytes();

    /// <summary>Allocates device memory, 256-byte aligned; its contents are undefined.</summary>
    ulong Allocate(long bytes);
    void Free(ulong pointer);

    /// <summary>Allocates page-locked host memory.</summary>
    void* AllocatePinned(long bytes);
    void FreePinned(void* pointer);

    nint CreateStream();
    void DestroyStream(nint stream);
    void Synchronize(nint stream);

    nint CreateEvent(bool timing = false);
    void DestroyEvent(nint handle);
    void Record(nint handle, nint stream);
    void Wait(nint stream, nint handle);        // the stream waits
    void WaitOnHost(nint handle);               // the caller waits
    float ElapsedMs(nint from, nint to);

    void CopyToDevice(ulong to, void* from, long bytes, nint stream);
    void CopyToHost(void* to, ulong from, long bytes, nint stream);
    void CopyOnDevice(ulong to, ulong from, long bytes, nint stream);
    void Fill32(ulong to, uint value, long count, nint stream);

    /// <summary>Finds a kernel in the embedded modules. <paramref name="sharedBytes"/> is the most dynamic shared
    /// memory that its launches use.</summary>
    KernelFunction GetKernel(string name, int sharedBytes);

    /// <summary>Launches a kernel that takes exactly one struct, by value.</summary>
    void Launch<TParams>(KernelFunction kernel, Launch shape, in TParams parameters, nint stream)
        where TParams : unmanaged;

    /// <summary>Makes the tensor map with which TMA loads boxes of 128 bytes of <paramref name="boxRows"/> rows of a
    /// matrix, with the 128-byte swizzle. Elements outside the matrix are read as zeros. Returns null if the launcher
    /// or the driver does not support tensor maps.</summary>
    /// <param name="matrix">Address of a row-major matrix, 16-byte aligned.</param>
    /// <param name="number">Element type: a box has 64 columns of bfloat16 or 128 of bytes.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="pitch">Elements of a row, a multiple of 16 bytes, all of which belong to the matrix.</param>
    /// <param name="boxRows">Rows of a box, 1 to 256.</param>
    TensorMap? MapMatrix(ulong matrix, TensorNumber number, long rows, int pitch, int boxRows) => null;

    /// <summary>Adds the recording of an event to the graph that is being captured; every launch of the graph records
    /// it.</summary>
    void RecordInGraph(nint handle, nint stream);

    void BeginCapture(nint stream);
    nint EndCapture(nint stream);               // returns an executable graph
    void LaunchGraph(nint graph, nint stream);
    void DestroyGraph(nint graph);

    /// <summary>Computes C [m, n] = A [m, k] · B [n, k]ᵀ with cublasGemmEx: C is f32, A and B are bf16, all are
    /// row-major, and sums are in f32. ld* are row pitches in elements.</summary>
    void GemmNT(int m, int n, int k, ulong a, int lda, ulong b, int ldb, ulong c, int ldc, nint stream);

    /// <summary>Makes the id of a new group of devices. One rank makes it and gives it to the others.</summary>
    /// <exception cref="SaeException">NCCL is not installed, or the launcher does not support it.</exception>
    byte[] NewNcclId() => throw NoNccl();

    /// <summary>Joins a group of devices. All ranks call it, and it returns when all have joined.</summary>
    /// <param name="id">The id of the group (<see cref="NewNcclId"/>).</param>
    /// <exception cref="SaeException">NCCL is not installed, or the launcher does not support it.</exception>
    NcclCommunicator Connect(byte[] id, int rank, int size) => throw NoNccl();

    /// <summary>Returns an error that NCCL found in the background in the last group; null for none. Any thread may
    /// call it.</summary>
    string? GroupError() => null;

    /// <summary>Waits for all work of this process on the device.</summary>
    void SynchronizeAll() => throw NoNccl();

    /// <summary>Called with true before a call that waits for the device, and with false after it. Null for
    /// none.</summary>
    Action<bool>? Waits { get => null; set { } }

    private static SaeException NoNccl() =>
        new("several ranks need the launcher of the engine; use Backend = Cuda", kind: SaeErrorKind.Device);
}

/// <summary>Properties of a device.</summary>
/// <param name="Name">Name of the device.</param>
/// <param name="Major">Major number of the compute capability, 9 of 9.0.</param>
/// <param name="Minor">Minor number of the compute capability.</param>
/// <param name="Multiprocessors">Number of multiprocessors.</param>
/// <param name="TotalBytes">Size of its memory.</param>
/// <param name="SharedBytesPerBlock">The most dynamic shared memory of a block.</param>
/// <param name="L2Bytes">Size of the L2 cache.</param>
/// <param name="DriverVersion">CUDA version of the driver, as cuDriverGetVersion encodes it.</param>
/// <param name="Emulated">Whether it is the emulator.</param>
sealed record DeviceInfo(string Name, int Major, int Minor, int Multiprocessors, long TotalBytes,
    int SharedBytesPerBlock,
    int L2Bytes, int DriverVersion, bool Emulated)
{
    /// <summary>Whether the device runs machine code for sm_90a: TMA, wgmma, clusters and programmatic
    /// launches.</summary>
    public bool IsHopper => (Major, Minor) == (9, 0);
}

/// <summary>A function of a loaded module.</summary>
/// <param name="Name">Name of the kernel.</param>
/// <param name="Handle">The CUfunction.</param>
/// <param name="SharedBytes">The most dynamic shared memory for which it was prepared.</param>
sealed record KernelFunction(string Name, nint Handle, int SharedBytes);

/// <summary>Grid, block and dynamic shared memory of a launch. Blocks are one-dimensional.</summary>
/// <param name="Cluster">Number of neighbouring blocks in x that form a cluster, with access to each other's shared
/// memory; 1 for none. It divides <paramref name="GridX"/>.</param>
/// <param name="Programmatic">Whether the kernel waits itself for its predecessor (kernels/common.cuh) and may
/// therefore start early. It starts early only if its predecessor on the stream, or in the capture, is a
/// kernel.</param>
readonly record struct Launch(int GridX, int Block, int SharedBytes = 0, int GridY = 1, int Cluster = 1,
    bool Programmatic = false);
