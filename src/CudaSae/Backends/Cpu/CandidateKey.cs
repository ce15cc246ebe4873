namespace CudaSae.Backends.Cpu;

/// <summary>A pre-activation and its latent in one number, whose order is that of selection.</summary>
static class CandidateKey
{
    const uint Negative = 0x80000000;       // a cleared top bit of the lower half: the number was below 0

    /// <summary>The order of the pre-activation in the upper half and the complement of the latent in the lower: among
    /// equal pre-activations the lower latent has the larger key.</summary>
    public static ulong Of(float a, int latent)
    {
        if (float.IsNaN(a)) return (uint)~latent;
        var bits = BitConverter.SingleToUInt32Bits(a + 0f);
        return (ulong)((bits & 0x80000000) != 0 ? ~bits : bits | 0x80000000) << 32 | (uint)~latent;
    }

    /// <summary>The key of |a|, with the sign of a in the lower half: among equal magnitudes the positive number has
    /// the larger key.</summary>
    public static ulong OfMagnitude(float a, int latent) =>
        Of(MathF.Abs(a), latent) & (a < 0 ? ~(ulong)Negative : ulong.MaxValue);

    /// <summary>Whether a key of <see cref="OfMagnitude"/> belongs to a number below 0.</summary>
    public static bool IsNegative(ulong key) => ((uint)key & Negative) == 0;

    public static int LatentOf(ulong key) => (int)(~(uint)key & ~Negative);

    public static float ValueOf(ulong key)
    {
        var bits = (uint)(key >> 32);
        return BitConverter.UInt32BitsToSingle((bits & 0x80000000) != 0 ? bits & 0x7fffffff : ~bits);
    }

    public static readonly IComparer<ulong> ByLatent =
        Comparer<ulong>.Create((p, q) => LatentOf(p).CompareTo(LatentOf(q)));
}
