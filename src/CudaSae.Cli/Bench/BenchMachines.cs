using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Devices;
using CudaSae.Runs;

namespace CudaSae.Cli;

/// <summary>Describes the machine of the rows: its ceilings, and the memory that a backend takes.</summary>
static class BenchMachines
{
    // Measurements of the CPU's ceilings. Other programs often disturb a single one.
    const int Repeats = 30;

    /// <summary>Describes the machine of a backend and measures its ceilings.</summary>
    public static BenchMachine Describe(IBackend backend)
    {
        var phases = (IPhases)backend;
        return phases.Device is { } device ? Describe(device, phases.Stream) : Host();
    }

    /// <summary>Describes a device and measures its ceilings. The ceilings are null on the emulator, which has no time,
    /// and if cuBLAS is missing.</summary>
    public static BenchMachine Describe(IDevice device, nint stream)
    {
        var (size, bytes) = device.Info.Emulated ? (256, 1L << 20) : (8192, 1L << 30);
        return Of(device.Info, WithoutCublas(() => DeviceCeilings.Measure(device, stream, size, bytes), "no ceilings"));
    }

    /// <summary>Returns the result of <paramref name="measure"/>, or null with one line on the error output if it
    /// fails, so that other measurements are kept.</summary>
    public static T? WithoutCublas<T>(Func<T?> measure, string lost)
    {
        try
        {
            return measure();
        }
        catch (SaeException e) when (e is not CudaException { EndsContext: true })
        {
            Console.Error.WriteLine($"cudasae: {lost}: {e.Message}");
            return default;
        }
    }

    /// <summary>Describes the processor of this machine, for benchmarks without a backend.</summary>
    public static BenchMachine Host() =>
        Of("cpu", HostName, $".NET {Environment.Version}", Ceilings.MeasureCpu(Repeats));

    /// <param name="ceilings">The ceilings; null if none could be measured.</param>
    public static BenchMachine Of(DeviceInfo device, Ceilings? ceilings) =>
        Of(device.Emulated ? "emulator" : "cuda", device.Name,
            $"{device.DriverVersion / 1000}.{device.DriverVersion % 1000 / 10}", ceilings);

    static BenchMachine Of(string backend, string device, string driver, Ceilings? ceilings) =>
        new(backend, device, driver, TrainingRun.Version, DateOnly.FromDateTime(DateTime.UtcNow), ceilings);

    static string HostName =>
        $"{ProcessorName()}, {Environment.ProcessorCount} threads, {CpuBackend.VectorBits}-bit vectors";

    static string ProcessorName()
    {
        try
        {
            return File.ReadLines("/proc/cpuinfo")
                .FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1]
                .Trim()
                ?? "cpu";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "cpu";
        }
    }

    /// <summary>Returns the bytes in use where a backend of this kind takes its memory: the largest resident size of
    /// the process so far, or the memory of the device that is not free.</summary>
    public static long UsedBytes(IDevice? device) =>
        device is not null ? device.Info.TotalBytes - device.FreeBytes() : PeakMemory.Resident();
}
