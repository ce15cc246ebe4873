using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Devices;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Cli;

/// <summary>The command cudasae devices lists the devices of this machine and states why others cannot be
/// used.</summary>
static class DevicesCommand
{
    public static Command Create()
    {
        var command = new Command("devices", "List the backends of this machine, its MPI and its NCCL.");
        command.SetAction(_ =>
        {
            var count = CudaDevice.Count(out var why);
            if (count == 0) Console.WriteLine($"cuda      none: {why}");
            for (var ordinal = 0; ordinal < count; ordinal++) Describe($"cuda {ordinal}", () => Gpu(ordinal));
            if (!KernelModules.Embedded) Console.WriteLine($"kernels   {KernelModules.HowToEmbed}");
            if (Emulator.FindLibrary() is { } library) Describe("emulator", () => CudaDevice.OpenEmulator(library));
            else Console.WriteLine("emulator  not built: build/emulator.sh makes it, with g++");
            Console.WriteLine($"cpu       {Environment.ProcessorCount} threads, {CpuBackend.VectorBits}-bit vectors, "
                + $"{MemoryPlan.Format(HostMemory.AvailableBytes())} available");
            Console.WriteLine("mpi       "
                + (MpiLibrary.TryLoad(MpiLibrary.NamesFor(RankEnvironment.OfProcess), out var none) is { } mpi
                    ? $"{mpi.Version}, {mpi.File}" : $"none: {none}"));
            Console.WriteLine($"nccl      {Nccl.TryVersion(out var noNccl) ?? $"none: {noNccl}"}");
            return 0;
        });
        return command;
    }

    static CudaDevice Gpu(int ordinal) => CudaDevice.TryOpen(ordinal, out var why) ?? throw new SaeException(why);

    /// <summary>Prints a line about a device, or the reason why it cannot be used.</summary>
    static void Describe(string name, Func<CudaDevice> open)
    {
        try
        {
            using var device = open();
            var info = device.Info;
            Console.WriteLine($"{name,-9} {info.Name}, compute capability {info.Major}.{info.Minor}, "
                + $"{info.Multiprocessors} multiprocessors, "
                + $"{MemoryPlan.Format(device.FreeBytes())} of {MemoryPlan.Format(info.TotalBytes)} free, driver "
                + $"{info.DriverVersion / 1000}.{info.DriverVersion % 1000 / 10}");
        }
        catch (SaeException e)
        {
            Console.WriteLine($"{name,-9} cannot be used: {SettingSpelling.ForCommandLine(e.Message)}");
        }
    }
}
