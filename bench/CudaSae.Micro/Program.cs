using CudaSae.Micro;
using BenchmarkDotNet.Running;

BenchmarkSwitcher.FromAssembly(typeof(CpuPhases).Assembly).Run(args);
