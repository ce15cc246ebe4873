namespace CudaSae.Backends.Kernels;

/// <summary>Selects among kernels that compute the same result, so that they can be compared.</summary>
sealed record KernelVariant
{
    /// <summary>The selection for training: the fastest kernels that fit.</summary>
    public static KernelVariant Fastest { get; } = new();

    /// <summary>Candidates that a row of the encoder holds; a small number forces the exact fallback.</summary>
    public int EncodeCapacity { get; init; } = EncodePhase.MaxCapacity;

    /// <summary>Whether to encode with the plain float32 kernel.</summary>
    public bool ReferenceEncode { get; init; }

    /// <summary>Whether to use the portable encode kernels even if faster ones fit this device.</summary>
    public bool Portable { get; init; }

    /// <summary>Whether to use the update kernel for all methods even if a plain one suffices.</summary>
    public bool GeneralUpdate { get; init; }
}
