using System.CommandLine;

namespace CudaSae.Cli;

/// <summary>The start of a program: it prepares the process, then runs the command line.</summary>
static class Startup
{
    /// <returns>The exit code.</returns>
    /// <inheritdoc cref="Commands.Run"/>
    public static int Run(RootCommand root, string[] arguments, string program)
    {
#if MANAGED_CUDA
        ManagedCuda.ManagedCudaDevice.Register();
#endif
        FileSizeLimit.IsAnError();
        StandardOutput.Open();
        return Commands.Run(root, arguments, program);
    }
}
