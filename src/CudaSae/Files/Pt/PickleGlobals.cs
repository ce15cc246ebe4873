using System.Buffers.Binary;

namespace CudaSae.Files.Pt;

/// <summary>The Python names a file of tensors may use, and what calling each would have made. Everything else is
/// refused by its name.</summary>
static class PickleGlobals
{
    const string OrderedDict = "collections.OrderedDict", RebuildTensor = "torch._utils._rebuild_tensor_v2",
        RebuildParameter = "torch._utils._rebuild_parameter",
        Size = "torch.Size", Device = "torch.device", Dtype = "numpy.dtype", Scalar = "numpy.core.multiarray.scalar",
        Scalar2 = "numpy._core.multiarray.scalar", Encode = "_codecs.encode";

    static readonly HashSet<string> Callable = [OrderedDict, RebuildTensor, RebuildParameter, Size, Device, Dtype,
        Scalar, Scalar2, Encode];

    /// <summary>Types of torch's storages, in safetensors' words.</summary>
    public static IReadOnlyDictionary<string, string> Storages { get; } = new Dictionary<string, string>
    {
        ["torch.DoubleStorage"] = "F64", ["torch.FloatStorage"] = "F32", ["torch.HalfStorage"] = "F16",
        ["torch.BFloat16Storage"] = "BF16", ["torch.LongStorage"] = "I64",
        ["torch.IntStorage"] = "I32", ["torch.ShortStorage"] = "I16", ["torch.CharStorage"] = "I8",
        ["torch.ByteStorage"] = "U8", ["torch.BoolStorage"] = "BOOL",
    };

    static readonly HashSet<string> Types = [.. new[] { "float64", "float32", "float16", "bfloat16", "int64", "int32",
        "int16", "int8", "uint8", "bool" }
        .Select(t => $"torch.{t}")];

    /// <summary>A type of torch as a value, which is kept as its name.</summary>
    public static bool IsType(PickleGlobal global) => Types.Contains(global.Name);

    /// <exception cref="SaeException">It is not on the list.</exception>
    public static PickleGlobal Find(string module, string name, Func<string, SaeException> bad)
    {
        var full = $"{module}.{name}";
        return Callable.Contains(full) || Storages.ContainsKey(full) || Types.Contains(full) ? new(full)
            : throw bad($"it needs Python's {TensorFile.Shown(full)}, which is not run; in Python load it and save a "
                + "dict of tensors, numbers and strings");
    }

    /// <summary>A persistent id: ('storage', type, key, device, elements).</summary>
    public static PickleStorage Storage(PickleTuple id, Func<string, SaeException> bad) =>
        id.Items is ["storage", PickleGlobal type, string key, string, long elements and >= 0]
            && Storages.TryGetValue(type.Name, out var element)
            ? new(element, key, elements)
            : throw bad("its pickle refers to a storage in an unknown way");

    public static object Call(PickleGlobal function, PickleTuple arguments, PickleBudget budget,
        Func<string, SaeException> bad)
    {
        switch (function.Name, arguments.Items)
        {
            case (OrderedDict, []): return new PickleDict([]);
            case (RebuildTensor,
                [PickleStorage storage, long offset, PickleTuple shape, PickleTuple strides, bool, PickleDict, ..]):
                budget.Charge(16L * shape.Items.Length);
                return new PickleTensor(storage, offset, Integers(shape, bad), Integers(strides, bad));
            case (RebuildParameter, [PickleTensor tensor, ..]): return tensor;
            case (Size, [PickleTuple or PickleList]): return arguments.Items[0]!;
            case (Device, [string kind]): return kind;
            case (Device, [string kind, long index]):
                budget.Charge(2L * kind.Length);
                return $"{kind}:{index}";
            case (Dtype, [string code, ..]): return new NumpyType(code);
            case (Scalar or Scalar2, [NumpyType type, byte[] bytes]): return Number(type, bytes, bad);
            case (Encode, [string text, "latin1"]) when text.All(c => c <= 255):
                budget.Charge(text.Length);
                return Array.ConvertAll(text.ToCharArray(), c => (byte)c);
            default: throw bad($"it calls Python's {function.Name} with arguments that are not understood");
        }
    }

    /// <summary>What BUILD sets: the byte order of numpy's types; an OrderedDict's attributes (torch's _metadata),
    /// which are left out.</summary>
    public static object Build(object? target, object? state, Func<string, SaeException> bad) => (target, state) switch
    {
        (PickleDict dict, PickleDict) => dict,
        (NumpyType type, PickleTuple { Items: [_, "<" or "|" or "=", ..] }) => type,
        (NumpyType type, _) =>
            throw bad($"its number of numpy's type {TensorFile.Shown(type.Code)} is not little-endian"),
        _ => throw bad("its pickle sets attributes of an object that has none"),
    };

    static long[] Integers(PickleTuple tuple, Func<string, SaeException> bad) =>
        Array.ConvertAll(tuple.Items,
            i => i is long whole ? whole : throw bad("a tensor's shape or stride is no integer"));

    static object Number(NumpyType type, byte[] bytes, Func<string, SaeException> bad) =>
        (type.Code, bytes.Length) switch
        {
            ("f8", 8) => BinaryPrimitives.ReadDoubleLittleEndian(bytes),
            ("f4", 4) => (double)BinaryPrimitives.ReadSingleLittleEndian(bytes),
            ("f2", 2) => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes),
            ("i8", 8) => BinaryPrimitives.ReadInt64LittleEndian(bytes),
            ("i4", 4) => (long)BinaryPrimitives.ReadInt32LittleEndian(bytes),
            ("i2", 2) => (long)BinaryPrimitives.ReadInt16LittleEndian(bytes),
            ("i1", 1) => (long)(sbyte)bytes[0],
            ("u1", 1) => (long)bytes[0],
            ("u2", 2) => (long)BinaryPrimitives.ReadUInt16LittleEndian(bytes),
            ("u4", 4) => (long)BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            ("b1", 1) => bytes[0] != 0,
            _ =>
                throw bad($"it holds a number of numpy's type {TensorFile.Shown(type.Code)} in {bytes.Length} bytes, "
                    + "which "
                    + "is not read"),
        };
}
