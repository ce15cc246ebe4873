using System.Runtime.InteropServices;

namespace CudaSae.Distributed;

/// <summary>Ranks that are processes, over MPI. Calls come from one thread at a time, which need not be the same.
/// Counts of MPI are ints, so a larger message is sent in pieces.</summary>
sealed unsafe class MpiCollective : ICollective
{
    const int LargestPiece = 1 << 30, LongestError = 1024;      // MPI_MAX_ERROR_STRING is at most 512

    readonly MpiLibrary mpi;
    readonly nint world, bytesType;
    readonly int piece;
    bool ended;

    /// <param name="library">MPI is not initialized yet.</param>
    /// <param name="localSize">Number of ranks on this machine by the launcher; 0 if it is not stated.</param>
    /// <param name="piece">Largest number of bytes of one message.</param>
    /// <exception cref="SaeException">MPI cannot be initialized.</exception>
    public MpiCollective(MpiLibrary library, int localSize = 0, int piece = LargestPiece)
    {
        (mpi, world, bytesType, this.piece) = (library, library.Abi.World, library.Abi.Byte, piece);
        int level;
        Check(mpi.initialize(0, 0, mpi.Abi.Serialized, &level), "MPI_Init_thread");
        if (level < mpi.Abi.Serialized)
            throw new SaeException($"{mpi.File} ({mpi.Version}) permits calls of the first thread only; "
                + "install an MPI with thread support", kind: SaeErrorKind.Device);
        Check(mpi.setErrorHandler(world, mpi.Abi.ErrorsReturn), "MPI_Comm_set_errhandler");
        int rank, size;
        Check(mpi.rank(world, &rank), "MPI_Comm_rank");
        Check(mpi.size(world, &size), "MPI_Comm_size");
        (Rank, Size) = (rank, size);
        LocalSize = Math.Max(localSize, RanksHere());       // some libraries put every rank into a group of its own
    }

    public int Rank { get; }
    public int Size { get; }
    public int LocalSize { get; }
    public string Description => $"{Size} over MPI ({mpi.Version}), {LocalSize} on this machine";

    int RanksHere()
    {
        nint here = 0;
        int size;
        Check(mpi.split(world, mpi.Abi.Shared, Rank, mpi.Abi.InfoNull, &here), "MPI_Comm_split_type");
        Check(mpi.size(here, &size), "MPI_Comm_size");
        return size;
    }

    public void AllToAll(void* send, void* receive, long bytes)
    {
        if (bytes * Size <= piece)
        {
            Check(mpi.allToAll(send, (int)bytes, bytesType, receive, (int)bytes, bytesType, world), "MPI_Alltoall");
            return;
        }
        Buffer.MemoryCopy((byte*)send + Rank * bytes, (byte*)receive + Rank * bytes, bytes, bytes);
        for (var distance = 1; distance < Size; distance++)
        {
            int to = (Rank + distance) % Size, from = (Rank + Size - distance) % Size;
            for (var at = 0L; at < bytes; at += piece)
                Check(mpi.exchange((byte*)send + to * bytes + at, Piece(bytes - at), bytesType, to, 0,
                    (byte*)receive + from * bytes + at, Piece(bytes - at), bytesType, from, 0, world,
                    mpi.Abi.StatusIgnore), "MPI_Sendrecv");
        }
    }

    public void AllGather(void* data, ReadOnlySpan<long> starts)
    {
        if (starts[Size] > piece)
        {
            for (var p = 0; p < Size; p++) Broadcast((byte*)data + starts[p], starts[p + 1] - starts[p], p);
            return;
        }
        int* counts = stackalloc int[Size], places = stackalloc int[Size];
        for (var p = 0; p < Size; p++) (counts[p], places[p]) = ((int)(starts[p + 1] - starts[p]), (int)starts[p]);
        Check(mpi.allGather(mpi.Abi.InPlace, 0, bytesType, data, counts, places, bytesType, world), "MPI_Allgatherv");
    }

    public void Broadcast(void* data, long bytes, int root)
    {
        for (var at = 0L; at < bytes; at += piece)
            Check(mpi.broadcast((byte*)data + at, Piece(bytes - at), bytesType, root, world), "MPI_Bcast");
    }

    public void Send(void* data, long bytes, int to)
    {
        for (var at = 0L; at < bytes; at += piece)
            Check(mpi.send((byte*)data + at, Piece(bytes - at), bytesType, to, 0, world), "MPI_Send");
    }

    public void Receive(void* data, long bytes, int from)
    {
        for (var at = 0L; at < bytes; at += piece)
            Check(mpi.receive((byte*)data + at, Piece(bytes - at), bytesType, from, 0, world, mpi.Abi.StatusIgnore),
                "MPI_Recv");
    }

    int Piece(long rest) => (int)Math.Min(rest, piece);

    public void Sum(Span<long> numbers) => Combine(numbers, mpi.Abi.Int64, mpi.Abi.Sum);

    public void Sum(Span<int> numbers) => Combine(numbers, mpi.Abi.Int32, mpi.Abi.Sum);

    public void Max(Span<long> numbers) => Combine(numbers, mpi.Abi.Int64, mpi.Abi.Max);

    void Combine<T>(Span<T> numbers, nint type, nint operation) where T : unmanaged
    {
        for (var rest = numbers; rest.Length > 0;)
        {
            var count = Math.Min(rest.Length, Math.Max(1, piece / sizeof(T)));
            fixed (T* at = rest)
                Check(mpi.reduce(mpi.Abi.InPlace, at, count, type, operation, world), "MPI_Allreduce");
            rest = rest[count..];
        }
    }

    public void Barrier() => Check(mpi.barrier(world), "MPI_Barrier");

    public void Abort(int exitCode)
    {
        ended = true;
        _ = mpi.abort(world, exitCode);
    }

    void Check(int status, string call)
    {
        if (status == 0) return;
        var text = stackalloc byte[LongestError];
        int length;
        var words = mpi.errorText(status, text, &length) == 0 ? Marshal.PtrToStringUTF8((nint)text, length) : "";
        throw new SaeException($"{call} of {mpi.Version} failed with code {status}: {words}",
            kind: SaeErrorKind.Device);
    }

    public void Dispose()
    {
        if (!ended) _ = mpi.finalize();
        ended = true;
    }
}
