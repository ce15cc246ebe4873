namespace CudaSae.Backends.Kernels;

/// <summary>float32 as two 16-bit halves: the upper one rounded half up, which is the bfloat16 operand, and what is
/// missing. Exact both
/// ways for every bit pattern (the split of Kalamkar et al. 2019, arXiv 1905.12322).</summary>
static class SplitFloat
{
    /// <param name="split">False: bfloat16 alone, to nearest even.</param>
    public static (ushort Upper, short Lower) Cut(float value, bool split)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        if (!split)
            return ((ushort)((float.IsNaN(value) ? bits | 0x400000 : bits + 0x7fff + ((bits >> 16) & 1)) >> 16), 0);
        var upper = (ushort)((bits + 0x8000) >> 16);
        return (upper, (short)(bits - ((uint)upper << 16)));
    }

    public static float Join(ushort upper, short lower) =>
        BitConverter.UInt32BitsToSingle(((uint)upper << 16) + (uint)(int)lower);
}
