using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace CudaSae.Files.Pt;

/// <summary>Reads Python's pickle, protocols 2 to 5, as far as tensors, numbers, text and their tuples, lists and dicts
/// need it. It runs no code: a global is a name, and calling
/// one makes a record (<see cref="PickleGlobals"/>). Depth, lengths and memory are bounded. Opcodes: Lib/pickletools.py
/// of CPython.</summary>
ref partial struct PickleReader(ReadOnlySpan<byte> pickle, PickleBudget budget, Func<string, SaeException> bad)
{
    public const int MaxDepth = 100;
    const int Slot = 16, Object = 40;           // bytes of a list's slot while the list grows; of a small object

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
        if (marks.Count > 0 || stack.Count != 1 || at != pickle.Length)
            throw bad("its pickle does not end as one object");
        return stack[0];
    }

    SaeException Refused(byte op) =>
        bad(op is 0x8F or 0x90 or 0x91
            ? "it holds a set; in Python load it and save a dict of tensors, numbers and strings"
        : $"its pickle has the opcode 0x{op:X2} at byte {at - 1}, which no file of tensors needs");

    ReadOnlySpan<byte> Take(ulong count)
    {
        if (count > (ulong)(pickle.Length - at))
            throw bad($"its pickle claims {count} bytes at {at} of {pickle.Length}; it is truncated or damaged");
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
}
