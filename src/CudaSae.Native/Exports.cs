using System.Runtime.InteropServices;

namespace CudaSae.Native;

/// <summary>The library itself. cudasae.h documents every export.</summary>
static unsafe class Exports
{
    /// <summary>Grows when a function or a record changes its meaning.</summary>
    const int AbiVersion = 1;

    static readonly byte* version =
        (byte*)Marshal.StringToCoTaskMemUTF8(typeof(Sae).Assembly.GetName().Version?.ToString(3) ?? "0");

    [UnmanagedCallersOnly(EntryPoint = "cudasae_version")]
    public static byte* Version() => version;

    [UnmanagedCallersOnly(EntryPoint = "cudasae_abi_version")]
    public static int Abi() => AbiVersion;

    [UnmanagedCallersOnly(EntryPoint = "cudasae_last_error")]
    public static byte* LastError() => Errors.Last();
}
