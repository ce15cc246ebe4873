using BenchmarkDotNet.Running;
using CudaSae.Bench;

switch (args)
{
    case ["soak", .. var rest]: return Soak.Run(rest);
    case ["memory", .. var rest]: return PlannedMemory.Run(rest);
    default:
        BenchmarkSwitcher.FromAssembly(typeof(CpuPhases).Assembly).Run(args);
        return 0;
}
