using System.Buffers.Binary;
using System.Text;

namespace CudaSae.Testing.Bytes;

/// <summary>TensorBoard's event files read a second way: checksums bit by bit, messages by their wire format.</summary>
static class EventFile
{
    public sealed record Event(double WallTime, long Step, string? Version, bool Restart,
        IReadOnlyDictionary<string, float> Scalars);

    /// <summary>All events of a file; whatever does not check is an exception.</summary>
    public static List<Event> Read(string path) => [.. Records(File.ReadAllBytes(path)).Select(Parse)];

    /// <summary>Of all files of a folder, in the order of their names.</summary>
    public static List<Event> ReadFolder(string folder) =>
        [.. Directory.GetFiles(folder, "events.out.tfevents.*").Order(StringComparer.Ordinal).SelectMany(Read)];

    public static IEnumerable<byte[]> Records(byte[] file)
    {
        for (var at = 0; at < file.Length;)
        {
            var length = checked((int)BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(at)));
            Check(file.AsSpan(at, 8), file.AsSpan(at + 8));
            var record = file.AsSpan(at + 12, length).ToArray();
            Check(record, file.AsSpan(at + 12 + length));
            yield return record;
            at += 16 + length;
        }
    }

    static void Check(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> expected)
    {
        var crc = uint.MaxValue;
        foreach (var b in bytes)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) == 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
        }
        crc = ~crc;
        var masked = unchecked((crc >> 15 | crc << 17) + 0xA282EAD8);
        if (masked != BinaryPrimitives.ReadUInt32LittleEndian(expected))
            throw new InvalidDataException("a checksum is wrong");
    }

    static Event Parse(byte[] record)
    {
        var (wall, step, version, restart, scalars) = (0.0, 0L, (string?)null, false, new Dictionary<string, float>());
        foreach (var (number, integer, bytes) in Fields(record))
            switch (number)
            {
                case 1: wall = BitConverter.ToDouble(bytes); break;
                case 2: step = (long)integer; break;
                case 3: version = Encoding.UTF8.GetString(bytes); break;
                case 5:
                    foreach (var value in Fields(bytes))
                    {
                        var scalar = Fields(value.Bytes).ToDictionary(f => f.Number, f => f.Bytes);
                        scalars.Add(Encoding.UTF8.GetString(scalar[1]), BitConverter.ToSingle(scalar[2]));
                    }
                    break;
                case 7: restart = Fields(bytes).Single() is (1, 1, _); break;
                default: throw new InvalidDataException($"field {number}");
            }
        return new(wall, step, version, restart, scalars);
    }

    static IEnumerable<(int Number, ulong Integer, byte[] Bytes)> Fields(byte[] message)
    {
        var at = 0;
        while (at < message.Length)
        {
            var key = Varint();
            if ((key & 7) == 0)
            {
                yield return ((int)(key >> 3), Varint(), []);
                continue;
            }
            var length = (key & 7) switch
            {
                1 => 8,
                5 => 4,
                2 => (int)Varint(),
                _ => throw new InvalidDataException("a wire type")
            };
            yield return ((int)(key >> 3), 0, message[at..(at + length)]);
            at += length;
        }

        ulong Varint()
        {
            var value = 0ul;
            for (var shift = 0; ; shift += 7)
            {
                var b = message[at++];
                value |= (ulong)(b & 0x7f) << shift;
                if (b < 0x80) return value;
            }
        }
    }
}
