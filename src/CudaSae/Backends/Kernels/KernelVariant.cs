namespace CudaSae.Backends.Kernels;

/// <summary>Which of the kernels that compute the same a backend takes: to hold one against the other.</summary>
sealed record KernelVariant
{
    /// <summary>What training takes: the fastest that fit.</summary>
    public static KernelVariant Fastest { get; } = new();

    /// <summary>Candidates that a row of the encoder holds: few of them force the exact fallback.</summary>
    public int EncodeCapacity { get; init; } = EncodePhase.MaxCapacity;

    /// <summary>Encodes by the plain float32 kernel.</summary>
    public bool ReferenceEncode { get; init; }

    /// <summary>Encodes by the portable kernels also where those for this device fit.</summary>
    public bool Portable { get; init; }

    /// <summary>Optimizes by the kernel for all methods also where a plain one would do.</summary>
    public bool GeneralUpdate { get; init; }
}
