using CudaSae.Cli;

#if MANAGED_CUDA
CudaSae.ManagedCuda.ManagedCudaDevice.Register();
#endif
FileSizeLimit.IsAnError();
return CommandLine.Run(args);
