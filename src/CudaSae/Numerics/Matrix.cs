using System.Runtime.InteropServices;

namespace CudaSae.Numerics;

/// <summary>A row-major float32 matrix in native memory, 64-byte aligned, initially zero. The number of elements may
/// exceed 2³¹.</summary>
public sealed unsafe class Matrix : IDisposable
{
    /// <summary>Allocates a matrix of zeros.</summary>
    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns; a row is contiguous.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative.</exception>
    public Matrix(long rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        (Rows, Columns) = (rows, columns);
        var bytes = (nuint)Math.Max(64, Bytes);
        Data = (float*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(Data, bytes);
    }

    /// <summary>Number of rows.</summary>
    public long Rows { get; }
    /// <summary>Number of columns, which is also the distance between rows in floats.</summary>
    public int Columns { get; }
    /// <summary>Size of the elements in bytes: 4 · <see cref="Rows"/> · <see cref="Columns"/>.</summary>
    public long Bytes => Rows * Columns * sizeof(float);

    /// <summary>Address of the first element; null after disposal.</summary>
    public float* Data { get; private set; }

    /// <summary>Row <paramref name="i"/> as a span of <see cref="Columns"/> numbers, valid until the matrix is
    /// disposed.</summary>
    /// <param name="i">0 to <see cref="Rows"/> − 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The matrix has no such row.</exception>
    /// <exception cref="ObjectDisposedException">The matrix is disposed.</exception>
    public Span<float> this[long i]
    {
        get
        {
            ObjectDisposedException.ThrowIf(Data is null, this);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)i, (ulong)Rows, nameof(i));
            return new(Data + i * Columns, Columns);
        }
    }

    /// <summary>Returns ‖row‖, summed in double.</summary>
    internal static double Norm(ReadOnlySpan<float> row)
    {
        double squares = 0;
        foreach (var w in row) squares += (double)w * w;
        return Math.Sqrt(squares);
    }

    /// <summary>Copies all elements to a matrix of the same shape.</summary>
    /// <param name="other">The destination.</param>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public void CopyTo(Matrix other)
    {
        if (other.Rows != Rows || other.Columns != Columns)
            throw new ArgumentException($"shape [{Rows}, {Columns}] copied to [{other.Rows}, {other.Columns}]");
        Buffer.MemoryCopy(Data, other.Data, other.Bytes, Bytes);
    }

    /// <summary>Frees the memory; spans of rows are invalid afterwards.</summary>
    public void Dispose()
    {
        NativeMemory.AlignedFree(Data);
        Data = null;
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the memory of a matrix that was not disposed.</summary>
    ~Matrix() => NativeMemory.AlignedFree(Data);
}
