using BenchmarkDotNet.Running;
using CudaSae.Bench;

BenchmarkSwitcher.FromAssembly(typeof(CpuPhases).Assembly).Run(args);
