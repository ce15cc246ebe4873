using CudaSae.Devices;
using ManagedCuda.BasicTypes;
using Functions = ManagedCuda.DriverAPINativeMethods.FunctionManagement;
using Kernels = ManagedCuda.DriverAPINativeMethods.Launch;
using Modules = ManagedCuda.DriverAPINativeMethods.ModuleManagement;

namespace CudaSae.ManagedCuda;

public sealed unsafe partial class ManagedCudaDevice
{
    // What the driver reads is an array of pointers to parameters: here one, to the caller's struct. Kept, so that a
    // launch allocates nothing.
    [ThreadStatic]
    static nint[]? arguments;

    static CUfunction Function(nint handle) => new() { Pointer = handle };
    static CUmodule Module(nint handle) => new() { Pointer = handle };

    public KernelFunction GetKernel(string name, int sharedBytes)
    {
        Enter();
        return modules.Get(name, sharedBytes);
    }

    nint IModuleLoader.LoadModule(byte[] image, string file)
    {
        CUmodule module = default;
        Check(Modules.cuModuleLoadDataEx(ref module, image, 0, null, null), "loadModule", $" for kernels/{file}.cu");
        return module.Pointer;
    }

    nint IModuleLoader.FindFunction(nint module, string kernel)
    {
        CUfunction function = default;
        Check(Modules.cuModuleGetFunction(ref function, Module(module), kernel), "getFunction",
            $" for kernel {kernel}");
        return function.Pointer;
    }

    void IModuleLoader.AllowShared(nint function, int bytes, string kernel) =>
        Check(Functions.cuFuncSetAttribute(Function(function), CUFunctionAttribute.MaxDynamicSharedSizeBytes, bytes),
            "setFunctionAttribute", $" for kernel {kernel}");

    void IModuleLoader.UnloadModule(nint module)
    {
        Leave();
        Check(Modules.cuModuleUnload(Module(module)), "unloadModule");
    }

    public void Launch<TParams>(KernelFunction kernel, Launch shape, in TParams parameters, nint stream)
        where TParams : unmanaged
    {
        if (shape.Cluster > 1)
            throw new SaeException($"{kernel.Name} needs clusters of blocks, which this launcher does not offer; use "
                + "--backend cuda",
                kind: SaeErrorKind.Device);
        fixed (TParams* pointer = &parameters)
        {
            (arguments ??= new nint[1])[0] = (nint)pointer;
            var result = Kernels.cuLaunchKernel(Function(kernel.Handle), (uint)shape.GridX, (uint)shape.GridY, 1,
                (uint)shape.Block, 1, 1,
                (uint)shape.SharedBytes, On(stream), arguments, null);
            if (result != CUResult.Success) Check(result, "cuLaunchKernel", $" of {kernel.Name}, {shape}");
        }
    }

    public void GemmNT(int m, int n, int k, ulong a, int lda, ulong b, int ldb, ulong c, int ldc, nint stream) =>
        (blas ??= new()).GemmNT(m, n, k, At(a), lda, At(b), ldb, At(c), ldc, On(stream));
}
