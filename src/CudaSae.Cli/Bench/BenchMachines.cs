using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Devices;

namespace CudaSae.Cli;

/// <summary>The machine that rows come from, its ceilings, and the memory that a backend takes of it.</summary>
static class BenchMachines
{
    const int Repeats = 30;     // of the CPU's ceilings: other programs on the machine rarely leave it alone for long

    /// <summary>Ceilings are measured now.</summary>
    public static BenchMachine Describe(IBackend backend)
    {
        var phases = (IPhases)backend;
        return phases.Device is { } device ? Describe(device, phases.Stream) : Host();
    }

    /// <summary>Measures ceilings now. There are none on the emulator, which has no time, and where cuBLAS is
    /// missing.</summary>
    public static BenchMachine Describe(IDevice device, nint stream)
    {
        var (size, bytes) = device.Info.Emulated ? (256, 1L << 20) : (8192, 1L << 30);
        return Of(device.Info, WithoutCublas(() => DeviceCeilings.Measure(device, stream, size, bytes), "no ceilings"));
    }

    /// <summary>What <paramref name="measure"/> finds, or null and one line on the error output where it fails: other
    /// measurements are kept.</summary>
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

    /// <summary>Of this machine's processor, for what no backend does.</summary>
    public static BenchMachine Host() =>
        Of("cpu", HostName, $".NET {Environment.Version}", Ceilings.MeasureCpu(Repeats));

    /// <param name="ceilings">Null where none could be measured.</param>
    public static BenchMachine Of(DeviceInfo device, Ceilings? ceilings) =>
        Of(device.Emulated ? "emulator" : "cuda", device.Name,
            $"{device.DriverVersion / 1000}.{device.DriverVersion % 1000 / 10}", ceilings);

    static BenchMachine Of(string backend, string device, string driver, Ceilings? ceilings) =>
        new(backend, device, driver, Session.Version, DateOnly.FromDateTime(DateTime.UtcNow), ceilings);

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

    /// <summary>Bytes in use now where a backend of this kind takes its memory: the process's largest resident size so
    /// far, or what is not free on the device.</summary>
    public static long UsedBytes(IDevice? device) =>
        device is not null ? device.Info.TotalBytes - device.FreeBytes() : PeakMemory.Resident();
}
