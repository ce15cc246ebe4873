using BenchmarkDotNet.Running;
using CudaSae.Micro;

BenchmarkSwitcher.FromAssembly(typeof(CpuPhases).Assembly).Run(args);
