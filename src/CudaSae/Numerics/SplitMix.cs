namespace CudaSae.Numerics;

/// <summary>The finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of the input affects every bit of the
/// result.</summary>
static class SplitMix
{
    public static ulong Mix(ulong z)
    {
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
}
