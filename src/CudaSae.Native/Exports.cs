using System.Runtime.InteropServices;

namespace CudaSae.Native;

/// <summary>The exports for the library. cudasae.h documents every export.</summary>
static unsafe class Exports
{
    /// <summary>The version, which increases when the meaning of a function or a record changes.</summary>
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
