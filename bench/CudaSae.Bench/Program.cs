using CudaSae.Bench;
using CudaSae.Bench.Fuzz;
using BenchmarkDotNet.Running;

switch (args)
{
    case ["soak", .. var rest]: return Soak.Run(rest);
    case ["memory", .. var rest]: return PlannedMemory.Run(rest);
    case ["fuzz", .. var rest]: return FuzzCommand.Run(rest);
    default:
        BenchmarkSwitcher.FromAssembly(typeof(CpuPhases).Assembly).Run(args);
        return 0;
}
