namespace CudaSae.Devices;

/// <summary>A failed driver or cuBLAS call: number, name, sentence, what was called, and advice where there is
/// some.</summary>
sealed class CudaException(int code, string message)
    : SaeException(message, null, code == OutOfMemory ? SaeErrorKind.Memory : SaeErrorKind.Device)
{
    const int OutOfMemory = 2;      // CUDA_ERROR_OUT_OF_MEMORY; no cublasStatus_t has this number

    /// <summary>CUresult, or cublasStatus_t for a cuBLAS call.</summary>
    public int Code { get; } = code;

    /// <summary>Whether no further call of this process can succeed on the device.</summary>
    public bool EndsContext { get; private init; }

    // cuda.h: "the process must be terminated and relaunched" (700, 702, 714 to 719), "the context cannot be used
    // anymore" (710). 701 and 720 refuse one launch and leave the context as it is. After 214, a damaged memory, and
    // 999, an unknown error, nothing is promised.
    static bool Ends(int result) => result is 214 or 700 or 702 or 710 or >= 714 and <= 719 or 999;

    /// <summary>The message of a failed driver call, whichever launcher made it.</summary>
    /// <param name="name">From cuGetErrorName, <paramref name="sentence"/> from cuGetErrorString.</param>
    /// <param name="about">What the call was for, with a blank before it; or nothing.</param>
    /// <param name="report">What the emulator has to say; nothing on a GPU.</param>
    internal static CudaException OfDriver(int result, string? name, string? sentence, string call, string about,
        string report) =>
        new(result, $"CUDA error {result}{Meaning(name, sentence)} in {call}{about}{Advice(result, call)}"
            + (report.Length > 0 ? $"; {report}" : ""))
        {
            EndsContext = Ends(result),
        };

    internal static CudaException OfCublas(int status, string call) => new(status, $"cuBLAS status {status} in {call}");

    static string Meaning(string? name, string? sentence) =>
        string.IsNullOrEmpty(name) ? "" : string.IsNullOrEmpty(sentence) ? $" ({name})" : $" ({name}: {sentence})";

    static string Advice(int result, string call) => result switch
    {
        2 when call == "retainContext" => "; other processes hold the device's memory: nvidia-smi lists them",
        2 => "; use fewer latents, smaller batches, or --storage bfloat16",
        34 => "; the library found is the toolkit's stub, not a driver: remove its folder from LD_LIBRARY_PATH",
        46 => "; another process has the device for itself, or its mode forbids compute: see nvidia-smi -q -d COMPUTE",
        100 => "; no CUDA device is visible: check CUDA_VISIBLE_DEVICES",
        200 or 218 or 221 or 222 =>
            "; the driver cannot take this build's kernels: update the driver, or build with its version of nvcc",
        209 => "; this build holds no kernel for the device's architecture: build with nvcc present",
        214 =>
            "; the device's memory is damaged (nvidia-smi -q -d ECC says more): --resume on another device, or after a "
                + "reset",
        304 or 800 => "; the system refuses: check the permissions of /dev/nvidia*",
        802 => "; the driver is not ready yet: check that nvidia-fabricmanager runs",
        803 => "; the driver's library and its kernel module differ: restart the machine after the update",
        804 => "; the compatibility library is not for this device: remove its folder from LD_LIBRARY_PATH",
        999 when call == "init" => "; the driver does not start: reload the module nvidia_uvm, or restart the machine",
        _ when Ends(result) =>
            "; the device is unusable until the process restarts: run cudasae verify, and please report it",
        _ => "",
    };
}
