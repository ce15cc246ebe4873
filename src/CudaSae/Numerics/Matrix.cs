using System.Runtime.InteropServices;

namespace CudaSae.Numerics;

/// <summary>A row-major float32 matrix in native memory, 64-byte aligned, zero at birth. Rows may number more than 2³¹
/// / columns.</summary>
public sealed unsafe class Matrix : IDisposable
{
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns; a row is contiguous.</param>
    public Matrix(long rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        (Rows, Columns) = (rows, columns);
        var bytes = (nuint)Math.Max(64, Bytes);
        Data = (float*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(Data, bytes);
    }

    public long Rows { get; }
    public int Columns { get; }
    public long Bytes => Rows * Columns * sizeof(float);

    /// <summary>First element; null after disposal.</summary>
    public float* Data { get; private set; }

    /// <summary>Row <paramref name="i"/> as a span of <see cref="Columns"/> numbers.</summary>
    public Span<float> this[long i]
    {
        get
        {
            ObjectDisposedException.ThrowIf(Data is null, this);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)i, (ulong)Rows, nameof(i));
            return new(Data + i * Columns, Columns);
        }
    }

    /// <summary>‖row‖, summed in double.</summary>
    internal static double Norm(ReadOnlySpan<float> row)
    {
        double squares = 0;
        foreach (var w in row) squares += (double)w * w;
        return Math.Sqrt(squares);
    }

    public void CopyTo(Matrix other)
    {
        if (other.Rows != Rows || other.Columns != Columns)
            throw new ArgumentException($"shape [{Rows}, {Columns}] copied to [{other.Rows}, {other.Columns}]");
        Buffer.MemoryCopy(Data, other.Data, other.Bytes, Bytes);
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(Data);
        Data = null;
        GC.SuppressFinalize(this);
    }

    ~Matrix() => NativeMemory.AlignedFree(Data);
}
