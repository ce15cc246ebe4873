using System.Numerics;
using System.Runtime.InteropServices;

namespace CudaSae.Numerics;

/// <summary>Checks raw rows for NaN and infinity: such an element has all exponent bits set.</summary>
static class Finite
{
    /// <summary>Returns whether all elements of a raw row are finite.</summary>
    public static bool All(ReadOnlySpan<byte> row, InputType type) => type switch
    {
        InputType.Float32 => All<uint>(MemoryMarshal.Cast<byte, uint>(row), 0x7f800000),
        InputType.Float16 => All<ushort>(MemoryMarshal.Cast<byte, ushort>(row), 0x7c00),
        _ => All<ushort>(MemoryMarshal.Cast<byte, ushort>(row), 0x7f80),
    };

    /// <summary>Returns whether all elements of a row are finite.</summary>
    public static bool All(ReadOnlySpan<float> row) => All(MemoryMarshal.AsBytes(row), InputType.Float32);

    /// <summary>Makes the error for a set of rows none of which is finite.</summary>
    /// <param name="where">The file or folder that holds them.</param>
    /// <param name="rows">Number of rows that were checked.</param>
    public static SaeException NoneOf(long rows, string where) =>
        new($"all of the {rows} rows that were read hold NaN or infinity; repair {where}", kind: SaeErrorKind.Numbers);

    static bool All<T>(ReadOnlySpan<T> bits, T exponent) where T : unmanaged, IBinaryInteger<T>
    {
        var mask = new Vector<T>(exponent);
        var i = 0;
        for (; i + Vector<T>.Count <= bits.Length; i += Vector<T>.Count)
            if (Vector.EqualsAny(new Vector<T>(bits[i..]) & mask, mask)) return false;
        for (; i < bits.Length; i++)
            if ((bits[i] & exponent) == exponent) return false;
        return true;
    }
}
