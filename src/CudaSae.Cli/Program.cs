using CudaSae.Cli;

#if MANAGED_CUDA
CudaSae.ManagedCuda.ManagedCudaDevice.Register();
#endif
FileSizeLimit.IsAnError();
return Commands.Run(args);
