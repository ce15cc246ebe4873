using System.CommandLine;
using System.Runtime.Intrinsics;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>cudasae devices: what this machine can train on, and why not on the rest.</summary>
static class DevicesCommand
{
    public static Command Create()
    {
        var command = new Command("devices", "List what this machine can train on.");
        command.SetAction(_ =>
        {
            var vectors = Vector512.IsHardwareAccelerated ? "512" : Vector256.IsHardwareAccelerated ? "256" : "128";
            AnsiConsole.MarkupLineInterpolated($"cpu       {Environment.ProcessorCount} threads, {vectors}-bit vectors, {Backends.MemoryPlan.Format(Backends.HostMemory.AvailableBytes())} available");
            return 0;
        });
        return command;
    }
}
