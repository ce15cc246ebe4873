using System.Runtime.InteropServices;
using CudaSae.Numerics;

namespace CudaSae.Files;

/// <summary>One tensor of a file. The last axis is contiguous unless <see cref="Strides"/> says otherwise.</summary>
/// <param name="Type">In safetensors' words: F64, F32, F16, BF16, I64, I32, I16, U16, I8, U8 or BOOL.</param>
/// <param name="Offset">Of its first element from the start of the file's data, in bytes.</param>
/// <param name="Bytes">From the first element to the end of the last.</param>
sealed record StoredTensor(string Name, string Type, long[] Shape, long Offset, long Bytes)
{
    /// <summary>Elements between neighbours along each axis, as torch saves them; null for C order.</summary>
    public long[]? Strides { get; init; }

    /// <summary>Bytes of one element.</summary>
    public int ElementBytes => TensorFile.WidthOf(Type);
}

/// <summary>Named tensors in a file, whatever holds them: safetensors, .npz, .pt. Contents stay on disk until they are
/// read.</summary>
abstract partial class TensorFile : IDisposable
{
    public abstract string Path { get; }
    public abstract IReadOnlyDictionary<string, StoredTensor> Tensors { get; }

    /// <summary>What stands beside the tensors: safetensors' __metadata__, or numbers and strings of a pickle, as
    /// text.</summary>
    public virtual IReadOnlyDictionary<string, string> Metadata => new Dictionary<string, string>();

    /// <summary>Bytes [offset, offset + length) of a tensor, counted from its first element, as they are
    /// stored.</summary>
    public abstract ReadOnlySpan<byte> Slice(StoredTensor tensor, long offset, int length);

    /// <summary>Copies a tensor's bytes from <paramref name="offset"/> on, counted from its first element, as many as
    /// there is room for. Notices a file that is shortened meanwhile.</summary>
    public virtual void Read(StoredTensor tensor, long offset, Span<byte> into) =>
        Slice(tensor, offset, into.Length).CopyTo(into);

    /// <summary>Says that these bytes are read soon.</summary>
    internal virtual void Expect(StoredTensor tensor, long offset, long length) { }

    public abstract void Dispose();

    /// <summary>An error that names this file and what it was taken for.</summary>
    protected internal abstract SaeException Bad(string why);

    /// <summary>The tensor of that name, type and shape (−1 matches any extent).</summary>
    /// <exception cref="SaeException">It is missing or differs.</exception>
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

    /// <summary>A vector of that length as float32, from any float type.</summary>
    public float[] Vector(string name, long length)
    {
        var tensor = Numbers(name, length);
        var into = new float[length];
        Gather(tensor, 0, tensor.Strides?[0] ?? 1, into);
        return into;
    }

    /// <summary>The one number of a scalar, or of a tensor of one element.</summary>
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

    /// <summary>A matrix [rows, columns] as float32 into one of that shape; of a [columns, rows] tensor with
    /// <paramref name="transposed"/>.</summary>
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
        const int Band = 16;        // read along the storage; a cache line of each row is written at a time
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

    /// <summary>Elements first, first + stride, … as float32.</summary>
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

    /// <summary>Bytes of one element of a type; 0 for an unknown one.</summary>
    public static int WidthOf(string type) => type switch
    {
        "F64" or "I64" or "U64" => 8,
        "F32" or "I32" or "U32" => 4,
        "F16" or "BF16" or "I16" or "U16" => 2,
        "I8" or "U8" or "BOOL" or "F8_E4M3" or "F8_E5M2" => 1,
        _ => 0,
    };
}

/// <summary>A tensor to be written: its content is produced when its turn comes, so that no copy of a large one is
/// held.</summary>
/// <param name="Type">In safetensors' words.</param>
/// <param name="Content">Writes exactly the tensor's bytes, C order.</param>
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

    /// <summary>The transpose of a matrix.</summary>
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
