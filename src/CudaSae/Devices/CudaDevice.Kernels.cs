using System.Text;

namespace CudaSae.Devices;

/// <summary>Modules, launches, tensor maps and the matrix product of cuBLAS.</summary>
sealed unsafe partial class CudaDevice
{
    public KernelFunction GetKernel(string name, int sharedBytes)
    {
        Enter();
        return modules.Get(name, sharedBytes);
    }

    nint IModuleLoader.LoadModule(byte[] image, string file)
    {
        nint module;
        fixed (byte* pointer = image)
            driver.Check(driver.loadModule(&module, pointer, 0, null, null), about: $" for kernels/{file}.cu");
        return module;
    }

    nint IModuleLoader.FindFunction(nint module, string kernel)
    {
        nint function;
        fixed (byte* name = Encoding.UTF8.GetBytes(kernel + "\0"))
            driver.Check(driver.getFunction(&function, module, name), about: $" for kernel {kernel}");
        return function;
    }

    void IModuleLoader.AllowShared(nint function, int bytes, string kernel) =>
        driver.Check(driver.setFunctionAttribute(function, 8, bytes), about: $" for kernel {kernel}");
    void IModuleLoader.UnloadModule(nint module) => _ = driver.unloadModule(module);        // may fail on a lost device

    public void Launch<TParams>(KernelFunction kernel, Launch shape, in TParams parameters, nint stream)
        where TParams : unmanaged
    {
        Enter();
        // The driver defines programmatic edges between kernels only.
        if (!afterKernel.GetValueOrDefault(stream)) shape = shape with { Programmatic = false };
        fixed (TParams* pointer = &parameters)
        {
            void* arguments = pointer;
            if (shape.Cluster > 1 || shape.Programmatic) LaunchWithAttributes(kernel, shape, &arguments, stream);
            else
            {
                var result = driver.launch(kernel.Handle, (uint)shape.GridX, (uint)shape.GridY, 1,
                    (uint)shape.Block, 1, 1, (uint)shape.SharedBytes, stream, &arguments, null);
                if (result != 0) driver.Check(result, "cuLaunchKernel", $" of {kernel.Name}, {shape}");
            }
        }
        afterKernel[stream] = true;
    }

    void LaunchWithAttributes(KernelFunction kernel, Launch shape, void** arguments, nint stream)
    {
        var attributes = stackalloc LaunchAttribute[2];
        uint count = 0;
        if (shape.Cluster > 1) attributes[count++] = LaunchAttribute.Cluster(shape.Cluster);
        if (shape.Programmatic) attributes[count++] = LaunchAttribute.Programmatic;
        var config = new LaunchConfig
        {
            GridX = (uint)shape.GridX, GridY = (uint)shape.GridY, GridZ = 1,
            BlockX = (uint)shape.Block, BlockY = 1, BlockZ = 1, SharedBytes = (uint)shape.SharedBytes,
            Stream = stream, Attributes = attributes, Count = count,
        };
        var result = driver.launchWith(&config, kernel.Handle, arguments, null);
        if (result != 0) driver.Check(result, "cuLaunchKernelEx", $" of {kernel.Name}, {shape}");
    }

    public TensorMap? MapMatrix(ulong matrix, TensorNumber number, long rows, int pitch, int boxRows)
    {
        const int Line = 128, NoInterleave = 0, Swizzle128 = 3, FetchLines256 = 3, Zeros = 0;
        const int Alignment = 128;      // the driver's reference requires 64, CUDA 13's header declares 128
        if (driver.encodeTiled is null) return null;
        Enter();
        var bytes = number == TensorNumber.BFloat16 ? 2 : 1;
        var room = stackalloc byte[sizeof(TensorMap) + Alignment - 1];
        var map = (TensorMap*)(((nint)room + Alignment - 1) & ~(Alignment - 1));
        ulong* extents = stackalloc ulong[] { (ulong)pitch, (ulong)rows };
        ulong rowBytes = (ulong)pitch * (ulong)bytes;
        uint* box = stackalloc uint[] { (uint)(Line / bytes), (uint)boxRows }, strides = stackalloc uint[] { 1, 1 };
        var result = driver.encodeTiled(map, (int)number, 2, matrix, extents, &rowBytes, box, strides,
            NoInterleave, Swizzle128, FetchLines256, Zeros);
        driver.Check(result, "cuTensorMapEncodeTiled", $" for {rows} rows of {pitch}, {number}");
        return *map;
    }

    public void GemmNT(int m, int n, int k, ulong a, int lda, ulong b, int ldb, ulong c, int ldc, nint stream)
    {
        Enter(stream);
        (cublas ??= new(driver)).GemmNT(m, n, k, a, lda, b, ldb, c, ldc, stream);
    }
}
