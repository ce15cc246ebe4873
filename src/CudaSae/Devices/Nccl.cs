using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>The functions of NCCL that the engine uses. On the emulator the emulator's library provides them. NVIDIA's
/// NCCL user guide and nccl.h define names and meanings.</summary>
sealed unsafe class Nccl
{
    /// <summary>Variable with the name or path of the library.</summary>
    public const string Variable = "CUDASAE_NCCL";

    /// <summary>Bytes of an id.</summary>
    public const int IdBytes = 128;

    const int Oldest = 2700;        // 2.7.0, which added ncclSend and ncclRecv

    /// <summary>An ncclUniqueId, which ncclCommInitRank takes by value.</summary>
    [StructLayout(LayoutKind.Sequential, Size = IdBytes)]
    public struct Id;

    static readonly string[] names = ["libnccl.so.2", "libnccl.so"];

    readonly Func<string, nint> find;

    Nccl(Func<string, nint> find, string path)
    {
        (this.find, Path) = (find, path);
        version = (delegate* unmanaged<int*, int>)Get("ncclGetVersion");
        errorString = (delegate* unmanaged<int, byte*>)Get("ncclGetErrorString");
        lastError = (delegate* unmanaged<nint, byte*>)find("ncclGetLastError");     // exists from 2.13 on
        Version = ReadVersion();
        uniqueId = (delegate* unmanaged<byte*, int>)Get("ncclGetUniqueId");
        join = (delegate* unmanaged<nint*, int, Id, int, int>)Get("ncclCommInitRank");
        destroy = (delegate* unmanaged<nint, int>)Get("ncclCommDestroy");
        abort = (delegate* unmanaged<nint, int>)Get("ncclCommAbort");
        asyncError = (delegate* unmanaged<nint, int*, int>)Get("ncclCommGetAsyncError");
        groupStart = (delegate* unmanaged<int>)Get("ncclGroupStart");
        groupEnd = (delegate* unmanaged<int>)Get("ncclGroupEnd");
        send = (delegate* unmanaged<ulong, nuint, int, int, nint, nint, int>)Get("ncclSend");
        receive = (delegate* unmanaged<ulong, nuint, int, int, nint, nint, int>)Get("ncclRecv");
        allGather = (delegate* unmanaged<ulong, ulong, nuint, int, nint, nint, int>)Get("ncclAllGather");
        broadcast = (delegate* unmanaged<ulong, ulong, nuint, int, int, nint, nint, int>)Get("ncclBroadcast");
        allReduce = (delegate* unmanaged<ulong, ulong, nuint, int, int, nint, nint, int>)Get("ncclAllReduce");
    }

    readonly delegate* unmanaged<int*, int> version;
    readonly delegate* unmanaged<int, byte*> errorString;
    readonly delegate* unmanaged<nint, byte*> lastError;
    public readonly delegate* unmanaged<byte*, int> uniqueId;
    public readonly delegate* unmanaged<nint*, int, Id, int, int> join;
    public readonly delegate* unmanaged<nint, int> destroy, abort;
    public readonly delegate* unmanaged<nint, int*, int> asyncError;
    public readonly delegate* unmanaged<int> groupStart, groupEnd;
    public readonly delegate* unmanaged<ulong, nuint, int, int, nint, nint, int> send, receive;
    public readonly delegate* unmanaged<ulong, ulong, nuint, int, nint, nint, int> allGather;
    public readonly delegate* unmanaged<ulong, ulong, nuint, int, int, nint, nint, int> broadcast, allReduce;

    public string Path { get; }

    /// <summary>Version of the library, such as 2.22.3.</summary>
    public string Version { get; }

    /// <summary>Takes NCCL from the driver's library on the emulator, otherwise from the library on this
    /// machine.</summary>
    /// <exception cref="SaeException">The library is missing or too old.</exception>
    public static Nccl Open(CudaDriver driver) =>
        driver.Emulated ? new(driver.TryGet, driver.Path)
            : OpenLibrary(Environment.GetEnvironmentVariable(Variable));

    /// <summary>Returns the version of this machine's NCCL and the name of its file; null and the reason if it cannot
    /// be used. It needs no GPU.</summary>
    public static string? TryVersion(out string why) =>
        TryVersion(Environment.GetEnvironmentVariable(Variable), out why);

    /// <param name="named">Value of <see cref="Variable"/>.</param>
    internal static string? TryVersion(string? named, out string why)
    {
        why = "";
        try
        {
            var library = OpenLibrary(named);
            return $"{library.Version}, {library.Path}";
        }
        catch (SaeException e)
        {
            why = e.Message;
            return null;
        }
    }

    static Nccl OpenLibrary(string? named)
    {
        if (!OperatingSystem.IsLinux()) throw Refused("NCCL exists on Linux only; use one rank");
        string[] tried = string.IsNullOrEmpty(named) ? names : [named];
        foreach (var name in tried)
            if (NativeLibrary.TryLoad(name, out var library))
                return new(symbol => NativeLibrary.TryGetExport(library, symbol, out var address) ? address : 0, name);
        throw Refused(string.IsNullOrEmpty(named)
            ? $"NCCL ({names[0]}) was not found; it is needed for several GPUs: install libnccl2 of the CUDA "
                + $"distribution or nvidia-nccl-cu12 of PyTorch, or let {Variable} name its file"
            : $"{Variable} names {named}, which cannot be loaded; it must name NCCL's library, such as {names[0]}");
    }

    nint Get(string name) => find(name) is not 0 and var address ? address
        : throw Refused($"{Path} lacks {name}: it is not NCCL 2.7 or newer; update NCCL");

    string ReadVersion()
    {
        int number;
        Check(version(&number), "ncclGetVersion");
        var (major, minor, patch) = Split(number);
        return number >= Oldest ? $"{major}.{minor}.{patch}" : throw Refused($"{Path} is NCCL {major}.{minor}.{patch}; "
            + "version 2.7 or newer is needed, update it");
    }

    /// <summary>Splits the number of a version. Up to 2.8 it has three decimal digits for minor and patch, from 2.9 on
    /// four.</summary>
    internal static (int Major, int Minor, int Patch) Split(int number) => number < 10000
        ? (number / 1000, number % 1000 / 100, number % 100) : (number / 10000, number % 10000 / 100, number % 100);

    static SaeException Refused(string why) => new(why, kind: SaeErrorKind.Device);

    /// <summary>Throws if a call failed. The message has the number and the sentence of the error, the call, and NCCL's
    /// last message.</summary>
    public void Check(int result, string call, nint communicator = 0)
    {
        if (result != 0) throw CudaException.OfNccl(result, Describe(result, call, communicator), call);
    }

    /// <inheritdoc cref="Check"/>
    public string Describe(int result, string call, nint communicator)
    {
        var last = lastError is null ? "" : Text(lastError(communicator)).Trim();
        return $"NCCL error {result} ({Text(errorString(result))}) in {call}{(last.Length > 0 ? $"; {last}" : "")}";
    }

    static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";
}
