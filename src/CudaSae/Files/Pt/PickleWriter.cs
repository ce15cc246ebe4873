using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace CudaSae.Files.Pt;

/// <summary>Writes the pickle of a dict of tensors, protocol 2, with opcodes that torch's weights_only readers support.
/// Opcodes: Lib/pickletools.py of CPython.</summary>
sealed class PickleWriter
{
    readonly ArrayBufferWriter<byte> pickle = new();
    readonly Dictionary<string, byte> globals = [];     // index in the memo, by name

    /// <summary>Returns the pickle of an OrderedDict: tensor i is a view of all of storage i; the scalars
    /// follow.</summary>
    public static byte[] Dict(IReadOnlyList<TensorToWrite> tensors, IReadOnlyDictionary<string, object>? scalars)
    {
        var writer = new PickleWriter();
        writer.Op(0x80, 2);
        writer.EmptyOrderedDict();
        writer.Op('(');
        for (var i = 0; i < tensors.Count; i++)
        {
            writer.Text(tensors[i].Name);
            writer.Tensor(tensors[i], i);
        }
        foreach (var (name, value) in scalars ?? new Dictionary<string, object>())
        {
            writer.Text(name);
            writer.Value(name, value, 0);
        }
        writer.Op('u');
        writer.Op('.');
        return writer.pickle.WrittenSpan.ToArray();
    }

    void Op(int code) => pickle.Write([(byte)code]);

    void Op(int code, byte argument)
    {
        Op(code);
        Op(argument);
    }

    /// <summary>Writes a call of _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks).</summary>
    void Tensor(TensorToWrite tensor, int index)
    {
        var storage = PickleGlobals.Storages.FirstOrDefault(s => s.Value == tensor.Type).Key
            ?? throw new SaeException($"tensor {tensor.Name} is {tensor.Type}, which torch's files have no storage "
                + "for; write float32");
        Global("torch._utils", "_rebuild_tensor_v2");
        Op('(');
        Op('(');
        Text("storage");
        Global("torch", storage["torch.".Length..]);
        Text($"{index}");
        Text("cpu");
        Integer(tensor.Bytes / TensorFile.WidthOf(tensor.Type));
        Op('t');
        Op('Q');
        Integer(0);
        Integers(tensor.Shape);
        Integers(Strides(tensor.Shape));
        Op(0x89);
        EmptyOrderedDict();
        Op('t');
        Op('R');
    }

    static long[] Strides(long[] shape)
    {
        var strides = new long[shape.Length];
        for (var axis = shape.Length - 1; axis >= 0; axis--)
            strides[axis] = axis == shape.Length - 1 ? 1 : strides[axis + 1] * Math.Max(shape[axis + 1], 1);
        return strides;
    }

    void Integers(long[] numbers)
    {
        Op('(');
        foreach (var number in numbers) Integer(number);
        Op('t');
    }

    void EmptyOrderedDict()
    {
        Global("collections", "OrderedDict");
        Op(')');
        Op('R');
    }

    void Value(string name, object? value, int depth)
    {
        switch (value)
        {
            case null: Op('N'); break;
            case bool b: Op(b ? 0x88 : 0x89); break;
            case int i: Integer(i); break;
            case long l: Integer(l); break;
            case float f: Real(f); break;
            case double d: Real(d); break;
            case string s: Text(s); break;
            case IReadOnlyDictionary<string, object> dict when depth < PickleReader.MaxDepth:
                Op('}');
                Op('(');
                foreach (var (key, item) in dict)
                {
                    Text(key);
                    Value($"{name}.{key}", item, depth + 1);
                }
                Op('u');
                break;
            default:
                throw new ArgumentException($"{name} is a {value.GetType().Name}; numbers, strings, booleans and "
                    + "dictionaries of them can be written");
        }
    }

    void Global(string module, string name)
    {
        if (globals.TryGetValue(name, out var place))
        {
            Op('h', place);
            return;
        }
        Op('c');
        pickle.Write(Encoding.ASCII.GetBytes($"{module}\n{name}\n"));
        Op('q', globals[name] = (byte)globals.Count);
    }

    void Integer(long value)
    {
        Span<byte> bytes = stackalloc byte[9];
        if (value is >= int.MinValue and <= int.MaxValue)
        {
            bytes[0] = (byte)'J';
            BinaryPrimitives.WriteInt32LittleEndian(bytes[1..], (int)value);
            pickle.Write(bytes[..5]);
            return;
        }
        var big = new BigInteger(value).ToByteArray();
        Op(0x8A, (byte)big.Length);
        pickle.Write(big);
    }

    void Real(double value)
    {
        Span<byte> bytes = stackalloc byte[9];
        bytes[0] = (byte)'G';
        BinaryPrimitives.WriteDoubleBigEndian(bytes[1..], value);
        pickle.Write(bytes);
    }

    void Text(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, utf8.Length);
        Op('X');
        pickle.Write(length);
        pickle.Write(utf8);
    }
}
