using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The two moments of a matrix [rows, width] on the device, in the format of the run's
/// configuration.</summary>
sealed class MomentArrays
{
    readonly TrainConfig config;
    readonly string name;
    readonly long rows, width;
    readonly DeviceArray<byte> m, v;
    readonly DeviceArray<float> mScale, vScale;
    readonly ulong id;
    readonly bool byLatent;

    /// <param name="byLatent">Whether a row belongs to a latent.</param>
    public MomentArrays(KernelContext context, string name, long rows, long width, bool byLatent)
    {
        (config, this.name, this.rows, this.width, this.byLatent) = (context.Config, name, rows, width, byLatent);
        foreach (var c in name) id = id * 31 + c;
        var bytes = config.Moments switch { MomentStorage.Float32 => 4, MomentStorage.BFloat16 => 2, _ => 1 };
        var adam = config.Optimizer is OptimizerKind.Adam or OptimizerKind.LazyRowAdam;
        long first = config.Optimizer != OptimizerKind.Sgd && config.Beta1 > 0 ? rows * width : 0, second = adam
            ? rows * width : 0;
        m = context.Arena.Take<byte>($"moment m, {name}", first * bytes);
        v = context.Arena.Take<byte>($"moment v, {name}", second * bytes);
        var scaled = config.Moments == MomentStorage.Int8;
        mScale = context.Arena.Take<float>($"moment m, {name}, scales", scaled && first > 0 ? rows : 0);
        vScale = context.Arena.Take<float>($"moment v, {name}, scales", scaled && second > 0 ? rows : 0);
    }

    public MomentsParams Parameters => new()
    {
        M = m.Pointer, V = v.Pointer, MScale = mScale.Pointer, VScale = vScale.Pointer,
        Id = id, Storage = config.Moments,
    };

    public IEnumerable<(StateArray Array, ulong Pointer)> State
    {
        get
        {
            var type = config.Moments switch
            {
                MomentStorage.Float32 => "F32",
                MomentStorage.BFloat16 => "BF16",
                _ => "U8"
            };
            foreach (var (suffix, array) in new[] { ("m", m), ("v", v) })
                if (array.Length > 0) yield return (Array($"adam_{suffix}_{name}", type, rows, width), array.Pointer);
            foreach (var (suffix, array) in new[] { ("m_scale", mScale), ("v_scale", vScale) })
                if (array.Length > 0) yield return (Array($"adam_{suffix}_{name}", "F32", rows), array.Pointer);
        }
    }

    StateArray Array(string name, string type, params long[] shape) => new(name, type, shape) { ByLatent = byLatent };
}

/// <summary>A per-latent parameter with its weights, moments and average, [n] each.</summary>
sealed class LatentArrays
{
    readonly DeviceArray<float> weights, m, v;
    readonly string name;
    readonly bool moves;

    /// <summary>Takes the memory of the moments and the average.</summary>
    /// <param name="weights">The weights; empty if the spec does not use the parameter.</param>
    public LatentArrays(KernelContext context, string name, DeviceArray<float> weights)
    {
        (this.name, this.weights) = (name, weights);
        moves = context.Config.Optimizer != OptimizerKind.Sgd;
        m = context.Arena.Take<float>($"moment m, {name}", weights.Length);
        v = context.Arena.Take<float>($"moment v, {name}", weights.Length);
        Average = context.Arena.Take<float>($"average of {name}", context.Config.EmaDecay > 0 ? weights.Length : 0);
    }

    public DeviceArray<float> Weights => weights;
    public DeviceArray<float> Average { get; }
    public DeviceArray<float> M => m;
    public DeviceArray<float> V => v;

    public LatentVectorParams Parameters =>
        new() { Weights = weights.Pointer, M = m.Pointer, V = v.Pointer, Average = Average.Pointer };

    public IEnumerable<(StateArray Array, ulong Pointer)> State
    {
        get
        {
            if (weights.Length == 0) yield break;
            yield return (Array(name, weights), weights.Pointer);
            if (moves) yield return (Array($"adam_m_{name}", m), m.Pointer);
            if (moves) yield return (Array($"adam_v_{name}", v), v.Pointer);
            if (Average.Length > 0) yield return (Array($"ema_{name}", Average), Average.Pointer);
        }
    }

    static StateArray Array(string name, DeviceArray<float> numbers) =>
        new(name, "F32", [numbers.Length]) { ByLatent = true };
}
