using CudaSae.Data;
using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends.Kernels;

/// <summary>What every phase on kernels needs: where it runs, the shared buffers, and the shapes. A phase takes its own scratch
/// from <see cref="Arena"/> in its constructor and launches in its Run method. Without a device the same constructors only
/// count memory; nothing is launched then.</summary>
sealed class KernelContext
{
    readonly IDevice? device;
    readonly Dictionary<string, KernelFunction> kernels = [];

    public KernelContext(IDevice? device, nint stream, DeviceArena arena, SaeSpec spec, TrainConfig config, InputType inputType)
    {
        this.device = device;
        (Stream, Arena, Spec, Config, InputType) = (stream, arena, spec, config, inputType);
        Buffers = new(arena, spec, config, inputType.Bytes());
    }

    public IDevice Device => device ?? throw new InvalidOperationException("this context only counts memory");
    public nint Stream { get; }
    public DeviceArena Arena { get; }
    public SaeSpec Spec { get; }
    public TrainConfig Config { get; }
    public InputType InputType { get; }
    public StepBuffers Buffers { get; }

    public int Rows => Config.BatchRows;            // B
    public int Width => Spec.InputWidth;            // d
    public int Pitch => Buffers.Pitch;              // ld
    public int Latents => Spec.Latents;             // n
    public int Active => Spec.Active;               // k

    /// <summary>Blocks for a kernel that strides over its items: enough to fill a large device, no more than there is work.</summary>
    public int Blocks(long items, int perBlock) => (int)Math.Clamp((items + perBlock - 1) / perBlock, 1, 2048);

    public void Launch<TParams>(string kernel, Launch shape, in TParams parameters) where TParams : unmanaged
    {
        if (!kernels.TryGetValue(kernel, out var function) || function.SharedBytes < shape.SharedBytes)
            kernels[kernel] = function = Device.GetKernel(kernel, shape.SharedBytes);
        Device.Launch(function, shape, parameters, Stream);
    }
}
