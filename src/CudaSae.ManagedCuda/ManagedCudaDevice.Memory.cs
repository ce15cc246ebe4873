using CudaSae.Numerics;
using ManagedCuda.BasicTypes;
using Copies = ManagedCuda.DriverAPINativeMethods.AsynchronousMemcpy_v2;
using Fills = ManagedCuda.DriverAPINativeMethods.MemsetAsync;
using Memory = ManagedCuda.DriverAPINativeMethods.MemoryManagement;

namespace CudaSae.ManagedCuda;

public sealed unsafe partial class ManagedCudaDevice
{
    static CUdeviceptr At(ulong pointer) => new() { Pointer = pointer };

    public long FreeBytes()
    {
        Enter();
        SizeT free = 0, total = 0;
        Check(Memory.cuMemGetInfo_v2(ref free, ref total), "memoryInfo");
        return (long)(ulong)free;
    }

    public ulong Allocate(long bytes)
    {
        Enter();
        CUdeviceptr pointer = default;
        Check(Memory.cuMemAlloc_v2(ref pointer, bytes), "allocate", $" for {MemoryPlan.Format(bytes)}");
        return pointer.Pointer;
    }

    public void Free(ulong pointer)
    {
        Leave();
        Check(Memory.cuMemFree_v2(At(pointer)), "free");
    }

    public void* AllocatePinned(long bytes)
    {
        Enter();
        nint pointer = 0;
        Check(Memory.cuMemHostAlloc(ref pointer, bytes, CUMemHostAllocFlags.None), "allocateHost",
            $" for {MemoryPlan.Format(bytes)}");
        return (void*)pointer;
    }

    public void FreePinned(void* pointer)
    {
        Leave();
        Check(Memory.cuMemFreeHost((nint)pointer), "freeHost");
    }

    public void CopyToDevice(ulong to, void* from, long bytes, nint stream) =>
        Check(Copies.cuMemcpyHtoDAsync_v2(At(to), (nint)from, bytes, On(stream)), "copyToDevice");
    public void CopyToHost(void* to, ulong from, long bytes, nint stream) =>
        Check(Copies.cuMemcpyDtoHAsync_v2((nint)to, At(from), bytes, On(stream)), "copyToHost");
    public void CopyOnDevice(ulong to, ulong from, long bytes, nint stream) =>
        Check(Copies.cuMemcpyDtoDAsync_v2(At(to), At(from), bytes, On(stream)), "copyOnDevice");
    public void Fill32(ulong to, uint value, long count, nint stream) =>
        Check(Fills.cuMemsetD32Async(At(to), value, count, On(stream)), "fill32");
}
