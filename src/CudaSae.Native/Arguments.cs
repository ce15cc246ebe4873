using System.Runtime.InteropServices;
using System.Text.Unicode;
using CudaSae.Backends;
using CudaSae.Formats;

namespace CudaSae.Native;

/// <summary>From C's arguments to the engine's, refusing what would read or write astray.</summary>
static unsafe class Arguments
{
    public static string Text(byte* text, string name) =>
        text is null ? throw new SaeException($"{name} is null") : Marshal.PtrToStringUTF8((nint)text)!;

    public static T* Pointer<T>(T* pointer, string name) where T : unmanaged =>
        pointer is null ? throw new SaeException($"{name} is null") : pointer;

    /// <summary>A matrix of the caller's.</summary>
    /// <param name="needed">What <paramref name="width"/> must be.</param>
    /// <param name="size">Bytes of a number.</param>
    public static Span<byte> Matrix(void* data, long rows, long width, int needed, int size, string name)
    {
        if (rows < 0) throw new SaeException($"{name} has {rows} rows");
        if (width != needed) throw new SaeException($"{name} has rows of {width} numbers; {needed} are needed");
        if (data is null && rows > 0) throw new SaeException($"{name} is null");
        var most = int.MaxValue / ((long)width * size);
        if (rows > most) throw new SaeException($"{name} has {rows} rows; one call takes at most {most} of this width");
        return new(data, (int)(rows * width * size));
    }

    public static Span<float> Floats(float* data, long rows, long width, int needed, string name) =>
        MemoryMarshal.Cast<byte, float>(Matrix(data, rows, width, needed, sizeof(float), name));

    public static BackendKind Backend(int number) =>
        number is >= 0 and <= (int)BackendKind.Emulator ? (BackendKind)number
            : throw new SaeException($"backend {number} is unknown; one of 0 (auto), 1 (cuda), 2 (cpu), 3 (emulator)");

    /// <summary>What a file is read as where its contents do not tell.</summary>
    public static SaeKind? ReadAs(int number) => number switch
    {
        0 => null,
        1 => SaeKind.Sae,
        2 => SaeKind.Transcoder,
        _ => throw new SaeException($"read_as {number} is unknown; one of 0 (unsaid), 1 (SAE), 2 (transcoder)"),
    };

    /// <summary>Rows that an SAE computes together; 0 for the usual number.</summary>
    public static int BatchRows(long rows) =>
        rows == 0 ? 256 : rows is >= 1 and <= 1 << 20 ? (int)rows
            : throw new SaeException($"batch_rows = {rows} is out of range: it must be 1 to 1048576, or 0 for 256");

    /// <summary>Copies a record to a caller who may know fewer or more of its fields; those it does not have are
    /// 0.</summary>
    public static void Fill<T>(T record, void* into, nuint size) where T : unmanaged
    {
        Pointer((byte*)into, "the record");
        new Span<byte>(into, checked((int)size)).Clear();
        new Span<byte>(&record, (int)Math.Min(size, (nuint)sizeof(T))).CopyTo(new(into, (int)size));
    }

    /// <summary>Zero-terminated UTF-8, cut to its room.</summary>
    public static void Copy(string text, Span<byte> into)
    {
        into.Clear();
        Utf8.FromUtf16(text, into[..^1], out _, out _);
    }
}
