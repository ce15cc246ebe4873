namespace CudaSae.Devices;

/// <summary>The machine seam: memory, kernels, streams, events, graphs and one dense matrix product. Implemented on the
/// CUDA
/// driver API; the emulator is the same implementation on another library. Every failure is a
/// <see cref="CudaException"/>.
/// All work is asynchronous on its stream until <see cref="Synchronize"/> or an event wait.</summary>
unsafe interface IDevice : IDisposable
{
    DeviceInfo Info { get; }

    /// <summary>Bytes free on the device now.</summary>
    long FreeBytes();

    /// <summary>Device memory, 256-byte aligned, contents undefined.</summary>
    ulong Allocate(long bytes);
    void Free(ulong pointer);

    /// <summary>Page-locked host memory.</summary>
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

    /// <summary>Finds a kernel in the embedded modules. <paramref name="sharedBytes"/> is the dynamic shared memory
    /// that it will ask for at most.</summary>
    KernelFunction GetKernel(string name, int sharedBytes);

    /// <summary>Launches a kernel that takes exactly one struct, by value.</summary>
    void Launch<TParams>(KernelFunction kernel, Launch shape, in TParams parameters, nint stream)
        where TParams : unmanaged;

    /// <summary>How TMA loads boxes of 128 bytes of <paramref name="boxRows"/> rows of a matrix, as lines with the
    /// 128-byte swizzle; what lies outside
    /// the matrix comes as zeros. Null where the launcher or the driver knows no tensor maps.</summary>
    /// <param name="matrix">Row-major and 16-byte aligned.</param>
    /// <param name="number">What it consists of: 64 columns a box of bfloat16, 128 of bytes.</param>
    /// <param name="pitch">Elements of a row, a multiple of 16 bytes, all of them part of the matrix.</param>
    /// <param name="boxRows">1 to 256.</param>
    TensorMap? MapMatrix(ulong matrix, TensorNumber number, long rows, int pitch, int boxRows) => null;

    /// <summary>While capturing: every launch of the graph records the event here.</summary>
    void RecordInGraph(nint handle, nint stream);

    void BeginCapture(nint stream);
    nint EndCapture(nint stream);               // an executable graph
    void LaunchGraph(nint graph, nint stream);
    void DestroyGraph(nint graph);

    /// <summary>C [m, n] f32 row-major = A [m, k] bf16 row-major · B [n, k]ᵀ bf16 row-major, accumulated in f32:
    /// cublasGemmEx.
    /// ld* are row pitches in elements.</summary>
    void GemmNT(int m, int n, int k, ulong a, int lda, ulong b, int ldb, ulong c, int ldc, nint stream);
}

/// <summary>What a device is.</summary>
/// <param name="Major">Compute capability, such as 9.0.</param>
/// <param name="SharedBytesPerBlock">Dynamic shared memory that one block may ask for.</param>
sealed record DeviceInfo(string Name, int Major, int Minor, int Multiprocessors, long TotalBytes,
    int SharedBytesPerBlock,
    int L2Bytes, int DriverVersion, bool Emulated)
{
    /// <summary>Whether the machine code for sm_90a runs here: TMA, wgmma, clusters, kernels that wait for the one
    /// before them.</summary>
    public bool IsHopper => (Major, Minor) == (9, 0);
}

/// <summary>A function of a loaded module.</summary>
/// <param name="Handle">CUfunction.</param>
/// <param name="SharedBytes">Dynamic shared memory it was prepared for.</param>
sealed record KernelFunction(string Name, nint Handle, int SharedBytes);

/// <summary>Grid, block and dynamic shared memory of a launch. Blocks are one-dimensional.</summary>
/// <param name="Cluster">Blocks, neighbours in x, that run together and reach each other's shared memory; 1 for none.
/// Divides <paramref name="GridX"/>.</param>
/// <param name="Programmatic">The kernel waits by itself for the one before it (kernels/common.cuh), so it may start
/// early. It does so only where the operation before it on the stream, or in the capture, is a kernel.</param>
readonly record struct Launch(int GridX, int Block, int SharedBytes = 0, int GridY = 1, int Cluster = 1,
    bool Programmatic = false);
