using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;

namespace CudaSae.Data.Pt;

/// <summary>Reads Python's pickle, protocols 2 to 5, as far as tensors, numbers, text and their tuples, lists and dicts need it. It runs no code: a global is a name, and calling
/// one makes a record (<see cref="PickleGlobals"/>). Depth, lengths and memory are bounded. Opcodes: Lib/pickletools.py of CPython.</summary>
ref struct PickleReader(ReadOnlySpan<byte> pickle, PickleBudget budget, Func<string, SaeException> bad)
{
    public const int MaxDepth = 100;
    const int Slot = 16, Object = 40;           // bytes of a list's slot while the list grows; of a small object
    const int MaxGlobalLength = 200;
    static readonly object True = true, False = false;
    static readonly object[] Small = [.. Enumerable.Range(0, 256).Select(i => (object)(long)i)];
    static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    readonly ReadOnlySpan<byte> pickle = pickle;
    readonly List<object?> stack = [];
    readonly List<int> marks = [];
    readonly Dictionary<uint, object?> memo = [];
    int at;

    /// <summary>The pickled object.</summary>
    /// <exception cref="SaeException">It is damaged, or holds what is not read.</exception>
    public object? Read()
    {
        if (Byte() != 0x80 || Byte() is < 2 or > 5) throw bad("its pickle is not of protocol 2 to 5");
        while (true)
        {
            var op = Byte();
            if (op == '.') break;
            if (!Constant(op) && !Text(op) && !Container(op) && !Memo(op) && !Call(op)) throw Refused(op);
        }
        if (marks.Count > 0 || stack.Count != 1 || at != pickle.Length) throw bad("its pickle does not end as one object");
        return stack[0];
    }

    SaeException Refused(byte op) => bad(op is 0x8F or 0x90 or 0x91 ? "it holds a set; in Python load it and save a dict of tensors, numbers and strings"
        : $"its pickle has the opcode 0x{op:X2} at byte {at - 1}, which no file of tensors needs");

    // ----- input and stack

    ReadOnlySpan<byte> Take(ulong count)
    {
        if (count > (ulong)(pickle.Length - at)) throw bad($"its pickle claims {count} bytes at {at} of {pickle.Length}; it is truncated or damaged");
        var bytes = pickle.Slice(at, (int)count);
        at += (int)count;
        return bytes;
    }

    byte Byte() => Take(1)[0];
    ushort U16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));
    uint U32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
    ulong U64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    bool Push(object? value, int bytes = 0)
    {
        budget.Charge(Slot + bytes);
        stack.Add(value);
        return true;
    }

    SaeException Underflow => bad("its pickle takes more from the stack than lies on it");

    object? Pop()
    {
        if (stack.Count <= (marks.Count > 0 ? marks[^1] : 0)) throw Underflow;
        var top = stack[^1];
        stack.RemoveAt(stack.Count - 1);
        return top;
    }

    T Pop<T>() => Pop() is T value ? value : throw bad("its pickle applies an opcode to an object of another kind");

    object?[] PopMany(int count)
    {
        if (stack.Count - count < (marks.Count > 0 ? marks[^1] : 0)) throw Underflow;
        budget.Charge(Object + 8L * count);
        var items = CollectionsMarshal.AsSpan(stack)[^count..].ToArray();
        stack.RemoveRange(stack.Count - count, count);
        return items;
    }

    object?[] PopToMark()
    {
        if (marks.Count == 0) throw Underflow;
        var items = PopMany(stack.Count - marks[^1]);
        marks.RemoveAt(marks.Count - 1);
        return items;
    }

    // ----- opcodes; each group tells whether it knows the one given

    bool Constant(byte op) => op switch
    {
        (byte)'N' => Push(null),
        0x88 => Push(True),
        0x89 => Push(False),
        (byte)'K' => Push(Small[Byte()]),
        (byte)'M' => Push((long)U16(), Object),
        (byte)'J' => Push((long)(int)U32(), Object),
        (byte)'G' => Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8)), Object),
        0x8A => Long(Take(Byte())),
        0x95 => Take(8).Length > 0,     // a frame: how much to read at once, which is nothing to a mapped file
        _ => false,
    };

    bool Long(ReadOnlySpan<byte> bytes)
    {
        var value = new BigInteger(bytes);
        return value >= long.MinValue && value <= long.MaxValue ? Push((long)value, Object) : Push(value, 2 * Object + bytes.Length);
    }

    bool Text(byte op)
    {
        switch (op)
        {
            case 0x8C: return PushText(Take(Byte()));
            case (byte)'X': return PushText(Take(U32()));
            case 0x8D: return PushText(Take(U64()));
            case (byte)'C': return PushBytes(Take(Byte()));
            case (byte)'B': return PushBytes(Take(U32()));
            case 0x8E: return PushBytes(Take(U64()));
            default: return false;
        }
    }

    bool PushText(ReadOnlySpan<byte> utf8)
    {
        budget.Charge(Object + 2L * utf8.Length);
        try { return Push(Strict.GetString(utf8)); }
        catch (DecoderFallbackException) { throw bad($"its pickle has text before byte {at} that is not UTF-8"); }
    }

    bool PushBytes(ReadOnlySpan<byte> bytes)
    {
        budget.Charge(Object + bytes.Length);
        return Push(bytes.ToArray());
    }

    bool Container(byte op)
    {
        switch (op)
        {
            case (byte)'(':
                if (marks.Count == MaxDepth) throw bad($"its pickle is nested deeper than {MaxDepth}");
                marks.Add(stack.Count);
                return true;
            case (byte)')': return Push(new PickleTuple([]), Object);
            case 0x85: return Push(new PickleTuple(PopMany(1)), Object);
            case 0x86: return Push(new PickleTuple(PopMany(2)), Object);
            case 0x87: return Push(new PickleTuple(PopMany(3)), Object);
            case (byte)'t': return Push(new PickleTuple(PopToMark()), Object);
            case (byte)']': return Push(new PickleList([]), 2 * Object);
            case (byte)'}': return Push(new PickleDict([]), 2 * Object);
            case (byte)'a': return Append(PopMany(1));
            case (byte)'e': return Append(PopToMark());
            case (byte)'s': return SetItems(PopMany(2));
            case (byte)'u': return SetItems(PopToMark());
            default: return false;
        }
    }

    bool Append(object?[] items)
    {
        var list = Pop<PickleList>();
        budget.Charge((long)Slot * items.Length);
        list.Items.AddRange(items);
        return Push(list);
    }

    bool SetItems(object?[] items)
    {
        if (items.Length % 2 != 0) throw bad("its pickle has a key without a value");
        var dict = Pop<PickleDict>();
        budget.Charge((long)Slot * items.Length);
        for (var i = 0; i < items.Length; i += 2) dict.Items.Add((items[i], items[i + 1]));
        return Push(dict);
    }

    bool Memo(byte op) => op switch
    {
        (byte)'q' => Put(Byte()),
        (byte)'r' => Put(U32()),
        0x94 => Put((uint)memo.Count),
        (byte)'h' => Get(Byte()),
        (byte)'j' => Get(U32()),
        _ => false,
    };

    bool Put(uint index)
    {
        budget.Charge(4 * Slot);
        var top = Pop();
        memo[index] = top;
        return Push(top);
    }

    bool Get(uint index) => memo.TryGetValue(index, out var value) ? Push(value) : throw bad($"its pickle asks for object {index}, which it never kept");

    bool Call(byte op)
    {
        switch (op)
        {
            case (byte)'c': return Push(PickleGlobals.Find(Line(), Line(), bad), Object);
            case 0x93:
                var name = Pop<string>();
                return Push(PickleGlobals.Find(Pop<string>(), name, bad), Object);
            case (byte)'Q': return Push(PickleGlobals.Storage(Pop<PickleTuple>(), bad), Object);
            case (byte)'R':
                var arguments = Pop<PickleTuple>();
                budget.Charge(4L * Object);
                return Push(PickleGlobals.Call(Pop<PickleGlobal>(), arguments, budget, bad));
            case (byte)'b':
                var state = Pop();
                return Push(PickleGlobals.Build(Pop(), state, bad));
            default: return false;
        }
    }

    string Line()
    {
        var rest = pickle[at..Math.Min(pickle.Length, at + MaxGlobalLength)];
        var length = rest.IndexOf((byte)'\n');
        if (length < 0) throw bad("its pickle has the name of a global without an end");
        var line = Encoding.Latin1.GetString(rest[..length]);
        at += length + 1;
        return line;
    }
}
