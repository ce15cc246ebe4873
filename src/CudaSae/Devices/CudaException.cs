namespace CudaSae.Devices;

/// <summary>The error of a failed driver, cuBLAS or NCCL call: its number, name and sentence, the function, and advice
/// if available.</summary>
sealed class CudaException(int code, string message, SaeErrorKind kind)
    : SaeException(message, null, kind)
{
    const int OutOfMemory = 2;      // CUDA_ERROR_OUT_OF_MEMORY
    const int ExternalDevice = 911;     // CUDA_ERROR_EXTERNAL_DEVICE
    const int NcclSystem = 2, NcclRemote = 6;       // ncclResult_t

    /// <summary>The CUresult, the cublasStatus_t of a cuBLAS call, or the ncclResult_t of an NCCL call.</summary>
    public int Code { get; } = code;

    /// <summary>Whether another rank or the network between the ranks has failed, so that the run can be
    /// resumed.</summary>
    public bool OfOtherRank { get; private init; }

    /// <summary>Whether an NCCL call did not reach another rank.</summary>
    public bool IsOfNetwork { get; private init; }

    /// <summary>Whether all further calls of this process on the device fail.</summary>
    public bool EndsContext { get; private init; }

    // cuda.h: "the process must be terminated and relaunched" (700, 702, 714 to 719), "the context cannot be used
    // anymore" (710). 701 and 720 refuse one launch and leave the context as it is. After 214 (damaged memory) and 999
    // (unknown error) the state of the context is undefined. The emulator returns 911 if another rank does not join an
    // operation.
    static bool Ends(int result) => result is 214 or 700 or 702 or 710 or >= 714 and <= 719 or 911 or 999;

    /// <summary>Makes the error of a failed driver call of any launcher.</summary>
    /// <param name="name">Result of cuGetErrorName.</param>
    /// <param name="sentence">Result of cuGetErrorString.</param>
    /// <param name="about">Purpose of the call, with a leading blank; may be empty.</param>
    /// <param name="report">Report of the emulator; empty on a GPU.</param>
    internal static CudaException OfDriver(int result, string? name, string? sentence, string call, string about,
        string report) =>
        new(result, $"CUDA error {result}{Meaning(name, sentence)} in {call}{about}{Advice(result, call)}"
            + (report.Length > 0 ? $"; {report}" : ""),
            result == OutOfMemory ? SaeErrorKind.Memory : SaeErrorKind.Device)
        {
            EndsContext = Ends(result), OfOtherRank = result == ExternalDevice,
        };

    internal static CudaException OfCublas(int status, string call) =>
        new(status, $"cuBLAS status {status} in {call}", SaeErrorKind.Device);

    /// <summary>Makes the error of a failed NCCL call.</summary>
    /// <param name="message">The error with its number, and the call.</param>
    internal static CudaException OfNccl(int result, string message, string call) =>
        new(result, message, SaeErrorKind.Device)
        {
            IsOfNetwork = result is NcclRemote or NcclSystem,
            // A system error in ncclCommInitRank is an error of the configuration.
            OfOtherRank = result == NcclRemote || result == NcclSystem && call != "ncclCommInitRank",
        };

    static string Meaning(string? name, string? sentence) =>
        string.IsNullOrEmpty(name) ? "" : string.IsNullOrEmpty(sentence) ? $" ({name})" : $" ({name}: {sentence})";

    static string Advice(int result, string call) => result switch
    {
        2 when call == "retainContext" => "; other processes hold the device's memory: nvidia-smi lists them",
        2 => "; use fewer latents, smaller batches, or Storage = BFloat16",
        34 => "; the library found is the toolkit's stub, not a driver: remove its folder from LD_LIBRARY_PATH",
        46 => "; another process uses the device exclusively or its mode forbids compute: see nvidia-smi -q -d COMPUTE",
        100 => "; no CUDA device is visible: check CUDA_VISIBLE_DEVICES",
        200 or 218 or 221 or 222 =>
            "; the driver cannot load this build's kernels: update the driver, or build with its version of nvcc",
        209 => "; this build holds no kernel for the device's architecture: build with nvcc present",
        214 =>
            "; the device's memory is damaged (see nvidia-smi -q -d ECC): resume on another device, or after a "
                + "reset",
        304 or 800 => "; the system denies access: check the permissions of /dev/nvidia*",
        802 => "; the driver is not ready yet: check that nvidia-fabricmanager runs",
        803 => "; the driver's library and its kernel module differ: restart the machine after the update",
        804 => "; the compatibility library is not for this device: remove its folder from LD_LIBRARY_PATH",
        911 => "; another rank has ended, or a device outside of CUDA failed",
        999 when call == "init" => "; the driver does not start: reload the module nvidia_uvm, or restart the machine",
        _ when Ends(result) =>
            "; the device is unusable until the process restarts: run cudasae verify, and please report it",
        _ => "",
    };
}
