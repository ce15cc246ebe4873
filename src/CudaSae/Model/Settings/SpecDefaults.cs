namespace CudaSae.Model;

/// <summary>Values that a front takes where its user gives none, and the auxiliary loss of most recipes.</summary>
static class SpecDefaults
{
    public const string Preset = "topk";

    public const int Latents = 4096, K = 32, AuxK = 256;

    public const float AuxCoefficient = 0.25f;

    /// <summary>Returns the auxiliary loss of a recipe. Its number of rows until a latent is dead is not set
    /// yet.</summary>
    public static AuxLoss AuxFor(int latents) => new(Math.Min(AuxK, latents), AuxCoefficient, DeadAfter.Unset);
}
