using System.Runtime.InteropServices;
using CudaSae.Files;

namespace CudaSae.Activations.Stores;

/// <summary>Token ids of a file's rows, read in place.</summary>
/// <param name="path">Of the file that holds them, for messages.</param>
/// <param name="type">In safetensors' words.</param>
/// <param name="read">Reads them, from a byte on.</param>
sealed class TokenIds(string path, string type, ReadAt read)
{
    readonly int bytes = TensorFile.WidthOf(type);

    /// <summary>Checks type and number.</summary>
    /// <exception cref="SaeException">They are no whole numbers, or not one a row.</exception>
    public static TokenIds Of(string path, string type, long count, long rows, ReadAt read)
    {
        if (type is not ("I64" or "I32" or "I16" or "U32" or "U16"))
            throw new SaeException($"{path} holds token ids of type {type}; I64, I32, I16, U32 and U16 are read");
        if (count != rows)
            throw new SaeException($"{path} holds {count} token ids for {rows} rows of activations; there must be one "
                + "a row");
        return new(path, type, read);
    }

    public int this[long row]
    {
        get
        {
            Span<byte> at = stackalloc byte[sizeof(long)];
            read(row * bytes, at[..bytes]);
            var id = type switch
            {
                "I64" => MemoryMarshal.Read<long>(at),
                "I32" => MemoryMarshal.Read<int>(at),
                "U32" => MemoryMarshal.Read<uint>(at),
                "I16" => MemoryMarshal.Read<short>(at),
                _ => MemoryMarshal.Read<ushort>(at),
            };
            return id is >= int.MinValue and <= int.MaxValue ? (int)id
                : throw new SaeException($"{path} holds {id} at row {row}, which is no token id");
        }
    }
}
