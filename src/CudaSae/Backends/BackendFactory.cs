using CudaSae.Backends.Cpu;
using CudaSae.Data;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends;

/// <summary>Which backend a run uses.</summary>
public enum BackendKind { Auto, Cuda, Cpu, Emulator }

public static class BackendFactory
{
    /// <summary>Checks the memory plan, then makes the backend.</summary>
    /// <param name="plan">Called with the plan and with where it will be taken, before anything is allocated.</param>
    /// <param name="why">One sentence on the choice.</param>
    public static IBackend Create(BackendKind kind, SaeSpec spec, TrainConfig config, InputType inputType, Action<MemoryPlan, string> plan, out string why)
    {
        spec.Validate();
        config.Validate();
        if (kind is BackendKind.Cuda or BackendKind.Emulator) throw new SaeException($"--backend {kind.ToString().ToLowerInvariant()} is not part of this build; use --backend cpu");
        why = kind == BackendKind.Cpu ? "cpu was asked for" : "no CUDA backend in this build, so the CPU";
        var cpu = CpuBackend.PlanFor(spec, config, inputType);
        plan(cpu, "this machine's memory");
        cpu.Require(HostMemory.AvailableBytes(), "this machine's memory");
        return new CpuBackend(spec, config, inputType);
    }
}

static class HostMemory
{
    /// <summary>Memory that can be taken without swapping.</summary>
    public static long AvailableBytes()
    {
        try
        {
            foreach (var line in File.ReadLines("/proc/meminfo"))
                if (line.StartsWith("MemAvailable:", StringComparison.Ordinal)) return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) * 1024;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException) { }
        return GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
    }
}
