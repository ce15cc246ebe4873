using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace CudaSae.Files.Pt;

/// <summary>The opcodes, in groups; each tells whether it knows the one given.</summary>
ref partial struct PickleReader
{
    const int MaxGlobalLength = 200;
    static readonly object True = true, False = false;
    static readonly object[] Small = [.. Enumerable.Range(0, 256).Select(i => (object)(long)i)];
    static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

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
        return value >= long.MinValue && value <= long.MaxValue ? Push((long)value, Object)
            : Push(value, 2 * Object + bytes.Length);
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

    bool Get(uint index) =>
        memo.TryGetValue(index, out var value) ? Push(value)
            : throw bad($"its pickle asks for object {index}, which it never kept");

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
