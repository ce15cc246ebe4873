using CudaSae.Numerics;

namespace CudaSae.Activations.Stores;

/// <summary>Rows in memory.</summary>
sealed class MemoryShard(ReadOnlyMemory<byte> rows, int width, InputType type) : IShard
{
    readonly int rowBytes = width * type.Bytes();

    public string Path => "memory";
    public long Rows => rows.Length / rowBytes;
    public int Width => width;
    public InputType Type => type;
    public bool HasTokens => false;

    public long Run(long i) => Rows - i;
    public void Read(long i, Span<byte> into) => rows.Span.Slice((int)i * rowBytes, into.Length).CopyTo(into);
    public int Token(long i) => throw new InvalidOperationException();
    public void Dispose() { }
}
