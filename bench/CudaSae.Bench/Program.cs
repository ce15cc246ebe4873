using CudaSae.Bench;
using CudaSae.Cli;

#if MANAGED_CUDA
CudaSae.ManagedCuda.ManagedCudaDevice.Register();
#endif
FileSizeLimit.IsAnError();
StandardOutput.Open();
return Commands.Run(BenchCommands.Root(), args, BenchCommands.Program);
