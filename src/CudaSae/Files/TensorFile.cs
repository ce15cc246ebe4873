using System.Runtime.InteropServices;
using CudaSae.Numerics;

namespace CudaSae.Files;

/// <summary>One tensor of a file. The last axis is contiguous unless <see cref="Strides"/> is set.</summary>
/// <param name="Type">Element type, by its safetensors name: F64, F32, F16, BF16, I64, I32, I16, U16, I8, U8 or
/// BOOL.</param>
/// <param name="Offset">Offset of the first element from the start of the file's data, in bytes.</param>
/// <param name="Bytes">Bytes from the first element to the end of the last.</param>
sealed record StoredTensor(string Name, string Type, long[] Shape, long Offset, long Bytes)
{
    /// <summary>Distances between neighbours along each axis in elements, as torch saves them; null for C
    /// order.</summary>
    public long[]? Strides { get; init; }

    /// <summary>Bytes of one element.</summary>
    public int ElementBytes => TensorFile.WidthOf(Type);
}

/// <summary>Named tensors in a file of any supported format: safetensors, .npz or .pt. Contents stay on disk until they
/// are read.</summary>
abstract partial class TensorFile : IDisposable
{
    public abstract string Path { get; }
    public abstract IReadOnlyDictionary<string, StoredTensor> Tensors { get; }

    /// <summary>Values beside the tensors, as text: safetensors' __metadata__, or the numbers and strings of a
    /// pickle.</summary>
    public virtual IReadOnlyDictionary<string, string> Metadata => new Dictionary<string, string>();

    /// <summary>Returns bytes [offset, offset + length) of a tensor, counted from its first element, as they are
    /// stored.</summary>
    public abstract ReadOnlySpan<byte> Slice(StoredTensor tensor, long offset, int length);

    /// <summary>Copies a tensor's bytes from <paramref name="offset"/> on, counted from its first element, and fills
    /// <paramref name="into"/>. Detects a file that is shortened meanwhile.</summary>
    public virtual void Read(StoredTensor tensor, long offset, Span<byte> into) =>
        Slice(tensor, offset, into.Length).CopyTo(into);

    /// <summary>Announces that these bytes will be read soon.</summary>
    internal virtual void Expect(StoredTensor tensor, long offset, long length) { }

    public abstract void Dispose();

    /// <summary>Makes an error that names this file and its format.</summary>
    protected internal abstract SaeException Bad(string why);

    /// <summary>Returns the tensor of a name, type and shape (−1 matches any extent).</summary>
    /// <exception cref="SaeException">The tensor is missing or differs.</exception>
    public StoredTensor Require(string name, string type, params long[] shape)
    {
        var tensor = Require(name);
        return tensor.Type == type && Fits(tensor, shape) ? tensor
            : throw Unlike(tensor, $"{type} [{string.Join(", ", shape)}]");
    }

    StoredTensor Require(string name) =>
        Tensors.TryGetValue(name, out var tensor) ? tensor
            : throw Bad($"it holds no tensor {name} (it has {string.Join(", ", Tensors.Keys.Take(8))})");

    static bool Fits(StoredTensor tensor, long[] shape) =>
        tensor.Shape.Length == shape.Length && tensor.Shape.Zip(shape).All(p => p.Second < 0 || p.First == p.Second);

    SaeException Unlike(StoredTensor tensor, string expected) =>
        Bad($"tensor {tensor.Name} is {tensor.Type} [{string.Join(", ", tensor.Shape)}], {expected} was expected");

    /// <summary>Reads a vector of a given length as float32, from any float type.</summary>
    public float[] Vector(string name, long length)
    {
        var tensor = Numbers(name, length);
        var into = new float[length];
        Gather(tensor, 0, tensor.Strides?[0] ?? 1, into);
        return into;
    }

    /// <summary>Reads a scalar, or a tensor of one element.</summary>
    public double Scalar(string name)
    {
        var tensor = Require(name);
        if (tensor.Shape.Any(e => e != 1)) throw Unlike(tensor, "one number");
        var bytes = Slice(tensor, 0, tensor.ElementBytes);
        return tensor.Type switch
        {
            "F64" => MemoryMarshal.Read<double>(bytes),
            "I64" => MemoryMarshal.Read<long>(bytes),
            "I32" => MemoryMarshal.Read<int>(bytes),
            _ => Convert(tensor, bytes),
        };
    }

    /// <summary>Reads a tensor [rows, columns] as float32 into a matrix of that shape. With
    /// <paramref name="transposed"/> the tensor is [columns, rows].</summary>
    public void Matrix(string name, Matrix into, bool transposed = false)
    {
        var tensor = transposed ? Numbers(name, into.Columns, into.Rows) : Numbers(name, into.Rows, into.Columns);
        var strides = tensor.Strides ?? [tensor.Shape[1], 1];
        var (down, across) = transposed ? (strides[1], strides[0]) : (strides[0], strides[1]);
        if (across == 1 || into.Columns == 1)
        {
            for (long row = 0; row < into.Rows; row++) Gather(tensor, row * down, 1, into[row]);
            return;
        }
        const int Band = 16;        // reads along the storage; writes one cache line of each row at a time
        var columns = new float[Math.Min(Band, into.Columns)][];
        for (var c = 0; c < columns.Length; c++) columns[c] = new float[into.Rows];
        for (var start = 0; start < into.Columns; start += Band)
        {
            var width = Math.Min(Band, into.Columns - start);
            for (var c = 0; c < width; c++) Gather(tensor, (start + c) * across, down, columns[c]);
            for (long row = 0; row < into.Rows; row++)
            {
                var part = into[row].Slice(start, width);
                for (var c = 0; c < width; c++) part[c] = columns[c][row];
            }
        }
    }

    StoredTensor Numbers(string name, params long[] shape)
    {
        var tensor = Require(name);
        if (!Fits(tensor, shape)) throw Unlike(tensor, $"[{string.Join(", ", shape)}]");
        return tensor.Type is "F64" or "F32" or "F16" or "BF16" ? tensor : throw Unlike(tensor, "a float type");
    }

    /// <summary>Reads the elements first, first + stride, … as float32.</summary>
    void Gather(StoredTensor tensor, long first, long stride, Span<float> into)
    {
        if (into.Length == 0) return;
        var width = tensor.ElementBytes;
        if (stride != 1)
        {
            for (var i = 0; i < into.Length; i++)
                into[i] = Convert(tensor, Slice(tensor, (first + i * stride) * width, width));
            return;
        }
        var bytes = Slice(tensor, first * width, checked(into.Length * width));
        if (tensor.Type == "F32") MemoryMarshal.Cast<byte, float>(bytes).CopyTo(into);
        else for (var i = 0; i < into.Length; i++) into[i] = Convert(tensor, bytes.Slice(i * width, width));
    }

    float Convert(StoredTensor tensor, ReadOnlySpan<byte> bytes) => tensor.Type switch
    {
        "F32" => MemoryMarshal.Read<float>(bytes),
        "F16" => (float)MemoryMarshal.Read<Half>(bytes),
        "BF16" => BitConverter.UInt32BitsToSingle((uint)MemoryMarshal.Read<ushort>(bytes) << 16),
        "F64" => (float)MemoryMarshal.Read<double>(bytes),
        _ => throw Unlike(tensor, "a float type"),
    };

    /// <summary>Returns the bytes of one element of a type, or 0 for an unknown type.</summary>
    public static int WidthOf(string type) => type switch
    {
        "F64" or "I64" or "U64" => 8,
        "F32" or "I32" or "U32" => 4,
        "F16" or "BF16" or "I16" or "U16" => 2,
        "I8" or "U8" or "BOOL" or "F8_E4M3" or "F8_E5M2" => 1,
        _ => 0,
    };
}

/// <summary>A tensor to write. Its content is produced while it is written, so that no large tensor is
/// copied.</summary>
/// <param name="Type">Element type, by its safetensors name.</param>
/// <param name="Content">Writes exactly the tensor's bytes, in C order.</param>
sealed record TensorToWrite(string Name, string Type, long[] Shape, Action<Stream> Content)
{
    public long Bytes =>
        Shape.Aggregate((long)TensorFile.WidthOf(Type), (product, extent) => checked(product * extent));

    public static TensorToWrite Of(string name, float[] vector) =>
        new(name, "F32", [vector.Length], stream => stream.Write(MemoryMarshal.AsBytes<float>(vector)));

    public static TensorToWrite Of(string name, Matrix matrix) =>
        new(name, "F32", [matrix.Rows, matrix.Columns], stream =>
    {
        for (long row = 0; row < matrix.Rows; row++) stream.Write(MemoryMarshal.AsBytes<float>(matrix[row]));
    });

    /// <summary>Returns the transpose of a matrix.</summary>
    public static TensorToWrite Transposed(string name, Matrix matrix) =>
        new(name, "F32", [matrix.Columns, matrix.Rows], stream =>
    {
        const int Band = 16;    // a cache line of each row at a time
        var columns = new float[Band][];
        for (var c = 0; c < Band; c++) columns[c] = new float[matrix.Rows];
        for (var start = 0; start < matrix.Columns; start += Band)
        {
            var width = Math.Min(Band, matrix.Columns - start);
            for (long row = 0; row < matrix.Rows; row++)
            {
                var part = matrix[row].Slice(start, width);
                for (var c = 0; c < width; c++) columns[c][row] = part[c];
            }
            for (var c = 0; c < width; c++) stream.Write(MemoryMarshal.AsBytes<float>(columns[c]));
        }
    });
}
