using System.Runtime.InteropServices;

namespace CudaSae.Distributed;

/// <summary>The constants of one binary interface of MPI. Open MPI's handles are addresses of its symbols, MPICH's are
/// integers of 32 bits, and those of MPI 5 are small integers. All are passed as <see cref="nint"/>: a function that
/// takes an int reads the low half of the register.</summary>
sealed record MpiAbi(string Name)
{
    /// <summary>MPI_COMM_WORLD.</summary>
    public nint World { get; init; }
    /// <summary>MPI_BYTE.</summary>
    public nint Byte { get; init; }
    /// <summary>MPI_INT32_T.</summary>
    public nint Int32 { get; init; }
    /// <summary>MPI_INT64_T.</summary>
    public nint Int64 { get; init; }
    /// <summary>MPI_SUM.</summary>
    public nint Sum { get; init; }
    /// <summary>MPI_MAX.</summary>
    public nint Max { get; init; }
    /// <summary>MPI_ERRORS_RETURN.</summary>
    public nint ErrorsReturn { get; init; }
    /// <summary>MPI_INFO_NULL.</summary>
    public nint InfoNull { get; init; }
    /// <summary>MPI_IN_PLACE.</summary>
    public nint InPlace { get; init; }
    /// <summary>MPI_STATUS_IGNORE.</summary>
    public nint StatusIgnore { get; init; }
    /// <summary>MPI_COMM_TYPE_SHARED.</summary>
    public int Shared { get; init; }
    /// <summary>MPI_THREAD_SERIALIZED.</summary>
    public int Serialized { get; init; }

    const string OpenMpiWorld = "ompi_mpi_comm_world";

    /// <summary>The constants that the mpi.h of MPI 5 fixes.</summary>
    public static readonly MpiAbi Standard = new("the MPI 5 ABI")
    {
        World = 0x101, Byte = 0x247, Int32 = 0x250, Int64 = 0x258, Sum = 0x21, Max = 0x23, ErrorsReturn = 0x143,
        InfoNull = 0x130, InPlace = 1, StatusIgnore = 0, Shared = 221, Serialized = 2048,
    };

    /// <summary>The constants of the MPICH ABI initiative: MPICH from 3.1 on, Intel MPI, MVAPICH, Cray MPI.</summary>
    public static readonly MpiAbi Mpich = new("the MPICH ABI")
    {
        World = 0x44000000, Byte = 0x4c00010d, Int32 = 0x4c000439, Int64 = 0x4c00083a, Sum = 0x58000003,
        Max = 0x58000001, ErrorsReturn = 0x54000001, InfoNull = 0x1c000000, InPlace = -1, StatusIgnore = 1,
        Shared = 1, Serialized = 2,
    };

    /// <summary>Returns the interface of a library.</summary>
    /// <param name="library">Its handle.</param>
    /// <param name="name">Its name or path.</param>
    public static MpiAbi Of(nint library, string name) =>
        Path.GetFileName(name).Contains("mpi_abi", StringComparison.Ordinal) ? Standard
        : NativeLibrary.TryGetExport(library, OpenMpiWorld, out _) ? OpenMpi(library)
        : Mpich;

    static MpiAbi OpenMpi(nint library) => new("the Open MPI ABI")
    {
        World = NativeLibrary.GetExport(library, OpenMpiWorld),
        Byte = NativeLibrary.GetExport(library, "ompi_mpi_byte"),
        Int32 = NativeLibrary.GetExport(library, "ompi_mpi_int32_t"),
        Int64 = NativeLibrary.GetExport(library, "ompi_mpi_int64_t"),
        Sum = NativeLibrary.GetExport(library, "ompi_mpi_op_sum"),
        Max = NativeLibrary.GetExport(library, "ompi_mpi_op_max"),
        ErrorsReturn = NativeLibrary.GetExport(library, "ompi_mpi_errors_return"),
        InfoNull = NativeLibrary.GetExport(library, "ompi_mpi_info_null"),
        InPlace = 1, StatusIgnore = 0, Shared = 0, Serialized = 2,
    };
}
