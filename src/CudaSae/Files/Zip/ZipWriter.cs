using System.Buffers.Binary;
using System.Text;

namespace CudaSae.Files.Zip;

/// <summary>Writes stored members one after another; each content starts at a multiple of 64 bytes, behind a padding
/// field as torch writes it. The same members give the same bytes:
/// no time is kept. Checksums are patched into the headers, so that no data descriptor is needed.</summary>
/// <param name="stream">Seekable, at its start.</param>
/// <param name="zip64">Writes the 64-bit fields where 32 bits would do, too.</param>
sealed class ZipWriter(Stream stream, bool zip64 = false)
{
    const int Alignment = 64;
    const ushort FirstOfJanuary1980 = 0x21, Utf8 = 1 << 11, PaddingId = 0x4246;
    readonly List<(byte[] Name, long Start, long Bytes, uint Crc)> members = [];

    /// <summary>Adds a member of exactly that many bytes.</summary>
    public void Add(string name, long bytes, Action<Stream> content)
    {
        var start = stream.Position;
        var utf8 = Encoding.UTF8.GetBytes(name);
        var wide = zip64 || bytes >= uint.MaxValue;
        var fixedBytes = 30 + utf8.Length + (wide ? 20 : 0) + 4;
        var padding = (int)(-(start + fixedBytes) & (Alignment - 1));
        var header = new Record(fixedBytes + padding).U32(0x04034B50).U16(Version(wide)).U16(Utf8).U16(0).U16(0)
            .U16(FirstOfJanuary1980).U32(0)
            .U32(wide ? uint.MaxValue : bytes).U32(wide ? uint.MaxValue : bytes).U16(utf8.Length)
            .U16(fixedBytes + padding - 30 - utf8.Length).Raw(utf8);
        if (wide) header.U16(1).U16(16).U64(bytes).U64(bytes);
        stream.Write(header.U16(PaddingId).U16(padding).Bytes);
        var measured = new MeasuredStream(stream);
        content(measured);
        if (measured.Position != bytes)
            throw new InvalidOperationException($"member {name} wrote {measured.Position} bytes of {bytes}");
        stream.Position = start + 14;
        stream.Write(new Record(4).U32(measured.Crc).Bytes);
        stream.Position = start + fixedBytes + padding + bytes;
        members.Add((utf8, start, bytes, measured.Crc));
    }

    public void Add(string name, byte[] content) => Add(name, content.Length, s => s.Write(content));

    /// <summary>Writes the directory. Nothing may be added after.</summary>
    public void Finish()
    {
        var first = stream.Position;
        foreach (var (name, start, bytes, crc) in members)
        {
            bool wide = zip64 || bytes >= uint.MaxValue, far = zip64 || start >= uint.MaxValue;
            var extra = wide || far ? 4 + (wide ? 16 : 0) + (far ? 8 : 0) : 0;
            var entry = new Record(46 + name.Length + extra).U32(0x02014B50).U16(Version(wide || far))
                .U16(Version(wide || far)).U16(Utf8).U16(0).U16(0).U16(FirstOfJanuary1980).U32(crc)
                .U32(wide ? uint.MaxValue : bytes).U32(wide ? uint.MaxValue : bytes).U16(name.Length).U16(extra).U16(0)
                .U16(0).U16(0).U32(0).U32(far ? uint.MaxValue : start).Raw(name);
            if (extra > 0) entry.U16(1).U16(extra - 4);
            if (wide) entry.U64(bytes).U64(bytes);
            if (far) entry.U64(start);
            stream.Write(entry.Bytes);
        }
        var end = stream.Position;
        var large = zip64 || members.Count >= ushort.MaxValue || end >= uint.MaxValue;
        if (large)
            stream.Write(new Record(76).U32(0x06064B50).U64(44).U16(45).U16(45).U32(0).U32(0).U64(members.Count)
                .U64(members.Count).U64(end - first).U64(first)
                .U32(0x07064B50).U32(0).U64(end).U32(1).Bytes);
        var count = large ? ushort.MaxValue : members.Count;
        stream.Write(new Record(22).U32(0x06054B50).U16(0).U16(0).U16(count).U16(count)
            .U32(large ? uint.MaxValue : end - first).U32(large ? uint.MaxValue : first).U16(0).Bytes);
    }

    static int Version(bool wide) => wide ? 45 : 20;

    /// <summary>Little-endian fields one after another; what is not written stays zero.</summary>
    sealed class Record(int length)
    {
        int at;

        public byte[] Bytes { get; } = new byte[length];

        public Record U16(int value)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(Bytes.AsSpan(at), checked((ushort)value)); at += 2; return this;
        }
        public Record U32(long value)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(Bytes.AsSpan(at), checked((uint)value)); at += 4; return this;
        }
        public Record U64(long value)
        {
            BinaryPrimitives.WriteInt64LittleEndian(Bytes.AsSpan(at), value); at += 8; return this;
        }
        public Record Raw(byte[] bytes) { bytes.CopyTo(Bytes, at); at += bytes.Length; return this; }
    }
}

/// <summary>Passes bytes on, counts them and sums them up.</summary>
sealed class MeasuredStream(Stream inner) : Stream
{
    long position;

    public uint Crc { get; private set; }

    public override long Position { get => position; set => throw new NotSupportedException(); }
    public override long Length => position;
    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        Crc = Crc32.Append(Crc, buffer);
        position += buffer.Length;
        inner.Write(buffer);
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
    public override void WriteByte(byte value) => Write([value]);
    public override void Flush() { }
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
}
