using System.Globalization;
using System.Runtime.InteropServices;

namespace CudaSae.Distributed;

/// <summary>The functions of MPI that the engine uses, from the library that is installed. One table of function
/// pointers serves every implementation (<see cref="MpiAbi"/>).</summary>
sealed unsafe class MpiLibrary
{
    /// <summary>Variable with the name or path of the library.</summary>
    public const string Variable = "CUDASAE_MPI";

    // UCX, which MPICH and Open MPI use on InfiniBand, ends a process at SIGSEGV and SIGFPE. .NET needs them for
    // NullReferenceException and DivideByZeroException, so UCX may take the other signals only.
    const string UcxSignals = "UCX_ERROR_SIGNALS", SignalsOfUcx = "SIGILL,SIGBUS";

    const string Standard = "libmpi_abi.so.1", OpenMpi = "libmpi.so.40", Mpich = "libmpi.so.12",
        DebianMpich = "libmpich.so.12", Any = "libmpi.so";

    const int LongestVersion = 8192;        // MPI_MAX_LIBRARY_VERSION_STRING of every implementation, or more

    static readonly Dictionary<nint, MpiLibrary> loaded = [];

    readonly nint library;

    MpiLibrary(nint library, string name)
    {
        this.library = library;
        Abi = MpiAbi.Of(library, name);
        initialize = (delegate* unmanaged<nint, nint, int, int*, int>)Get("MPI_Init_thread");
        finalize = (delegate* unmanaged<int>)Get("MPI_Finalize");
        abort = (delegate* unmanaged<nint, int, int>)Get("MPI_Abort");
        rank = (delegate* unmanaged<nint, int*, int>)Get("MPI_Comm_rank");
        size = (delegate* unmanaged<nint, int*, int>)Get("MPI_Comm_size");
        split = (delegate* unmanaged<nint, int, int, nint, nint*, int>)Get("MPI_Comm_split_type");
        setErrorHandler = (delegate* unmanaged<nint, nint, int>)Get("MPI_Comm_set_errhandler");
        allToAll = (delegate* unmanaged<void*, int, nint, void*, int, nint, nint, int>)Get("MPI_Alltoall");
        allGather = (delegate* unmanaged<nint, int, nint, void*, int*, int*, nint, nint, int>)Get("MPI_Allgatherv");
        broadcast = (delegate* unmanaged<void*, int, nint, int, nint, int>)Get("MPI_Bcast");
        send = (delegate* unmanaged<void*, int, nint, int, int, nint, int>)Get("MPI_Send");
        receive = (delegate* unmanaged<void*, int, nint, int, int, nint, nint, int>)Get("MPI_Recv");
        exchange = (delegate* unmanaged<void*, int, nint, int, int, void*, int, nint, int, int, nint, nint, int>)
            Get("MPI_Sendrecv");
        reduce = (delegate* unmanaged<nint, void*, int, nint, nint, nint, int>)Get("MPI_Allreduce");
        barrier = (delegate* unmanaged<nint, int>)Get("MPI_Barrier");
        errorText = (delegate* unmanaged<int, byte*, int*, int>)Get("MPI_Error_string");
        File = FileOf(Get("MPI_Init_thread")) ?? name;
        Version = ReadVersion();
    }

    public readonly delegate* unmanaged<nint, nint, int, int*, int> initialize;
    public readonly delegate* unmanaged<int> finalize;
    public readonly delegate* unmanaged<nint, int, int> abort;
    public readonly delegate* unmanaged<nint, int*, int> rank, size;
    public readonly delegate* unmanaged<nint, int, int, nint, nint*, int> split;
    public readonly delegate* unmanaged<nint, nint, int> setErrorHandler;
    public readonly delegate* unmanaged<void*, int, nint, void*, int, nint, nint, int> allToAll;
    public readonly delegate* unmanaged<nint, int, nint, void*, int*, int*, nint, nint, int> allGather;
    public readonly delegate* unmanaged<void*, int, nint, int, nint, int> broadcast;
    public readonly delegate* unmanaged<void*, int, nint, int, int, nint, int> send;
    public readonly delegate* unmanaged<void*, int, nint, int, int, nint, nint, int> receive;
    public readonly delegate* unmanaged<void*, int, nint, int, int, void*, int, nint, int, int, nint, nint, int>
        exchange;
    public readonly delegate* unmanaged<nint, void*, int, nint, nint, nint, int> reduce;
    public readonly delegate* unmanaged<nint, int> barrier;
    public readonly delegate* unmanaged<int, byte*, int*, int> errorText;

    public MpiAbi Abi { get; }

    /// <summary>Path of the library.</summary>
    public string File { get; }

    /// <summary>Name and version of the implementation.</summary>
    public string Version { get; }

    /// <summary>Returns the names to try, in order. A library that does not belong to the launcher finds one rank, so
    /// the launcher's own come first.</summary>
    /// <param name="variables">The environment of the process.</param>
    public static string[] NamesFor(IReadOnlyDictionary<string, string> variables) =>
        variables.GetValueOrDefault(Variable) is { Length: > 0 } named ? [named]
        : IsSet(variables, "OMPI_COMM_WORLD_SIZE") ? [OpenMpi, Standard, Any]
        : IsSet(variables, "PMI_SIZE") || IsSet(variables, "PMI_FD") || IsSet(variables, "HYDI_CONTROL_FD")
            ? [Mpich, DebianMpich, Standard, Any]
        : IsSet(variables, "PMIX_RANK") ? [OpenMpi, Standard, Mpich, DebianMpich, Any]
        : [Standard, OpenMpi, Mpich, DebianMpich, Any];

    static bool IsSet(IReadOnlyDictionary<string, string> variables, string name) =>
        variables.GetValueOrDefault(name) is { Length: > 0 };

    /// <summary>Loads the library; returns null and the reason if none is found.</summary>
    /// <param name="names">Names to try, in order.</param>
    public static MpiLibrary? TryLoad(IReadOnlyList<string> names, out string why)
    {
        why = OperatingSystem.IsLinux() ? "" : "several ranks need Linux";
        if (why.Length > 0) return null;
        _ = NativeProcess.SetVariable(UcxSignals, SignalsOfUcx, overwrite: 0);
        foreach (var name in names)
            if (NativeLibrary.TryLoad(name, out var handle))
                try
                {
                    if (!loaded.TryGetValue(handle, out var library)) loaded[handle] = library = new(handle, name);
                    return library;
                }
                catch (EntryPointNotFoundException e)
                {
                    why = $"{name} is not a library of MPI 3 or newer: {e.Message}";
                    return null;
                }
        why = $"{string.Join(", ", names)} {(names.Count > 1 ? "are" : "is")} not installed; install Open MPI or "
            + $"MPICH, or name the library in {Variable}";
        return null;
    }

    nint Get(string name) => NativeLibrary.GetExport(library, name);

    string ReadVersion()
    {
        var text = stackalloc byte[LongestVersion];
        int length;
        ((delegate* unmanaged<byte*, int*, int>)Get("MPI_Get_library_version"))(text, &length);
        var line = (Marshal.PtrToStringUTF8((nint)text) ?? "").Split('\n', ',')[0];
        return string.Join(' ', line.Split([' ', '\t', ':'], StringSplitOptions.RemoveEmptyEntries));
    }

    /// <summary>Finds the file that holds a function, in the list of this process's mappings.</summary>
    static string? FileOf(nint function)
    {
        foreach (var line in System.IO.File.ReadLines("/proc/self/maps"))
        {
            var range = line.Split(' ', 2)[0].Split('-');
            if (!long.TryParse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var first)
                || !long.TryParse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var end)
                || function < first || function >= end)
                continue;
            return line.IndexOf('/') is >= 0 and var at ? line[at..] : null;
        }
        return null;
    }
}
