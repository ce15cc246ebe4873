using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>One number of each latent, with its moments and its average.</summary>
/// <param name="weights">[n].</param>
/// <param name="part">The parameters that the numbers belong to.</param>
sealed unsafe class LatentVector(
    HostArena arena, string name, float* weights, Trainable part, int n, TrainConfig config)
{
    public string Name { get; } = name;
    public float* Weights { get; } = weights;
    public Trainable Part { get; } = part;
    public float* M { get; } = arena.Take<float>($"moment m, {name}", n);
    public float* V { get; } = arena.Take<float>($"moment v, {name}", n);
    public float* Average { get; } = arena.Take<float>($"average of {name}", config.EmaDecay > 0 ? n : 0);
}
