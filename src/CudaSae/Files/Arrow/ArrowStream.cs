using System.Buffers.Binary;

namespace CudaSae.Files.Arrow;

/// <summary>Nodes and buffers of one record batch; offsets count from the file's start.</summary>
sealed record ArrowBatch(long Length, (long Length, long Nulls)[] Nodes, (long Offset, long Length)[] Buffers);

/// <summary>The schema and record batches of an Arrow IPC stream, which HuggingFace's datasets write, or of an IPC
/// file, which is a stream with a frame.
/// Only metadata are read; the batches' bodies stay on disk.</summary>
sealed class ArrowStream : IDisposable
{
    const int MaxMetadataBytes = 1 << 26;
    const byte SchemaMessage = 1, DictionaryMessage = 2, BatchMessage = 3;      // of union MessageHeader

    readonly MappedFile file;
    readonly List<ArrowBatch> batches = [];

    public ArrowStream(MappedFile file)
    {
        this.file = file;
        try { ReadMessages(file.Length >= 8 && file.Slice(0, 6).SequenceEqual("ARROW1"u8) ? 8 : 0); }
        catch (InvalidDataException e) { file.Dispose(); throw Bad(e.Message); }
        catch { file.Dispose(); throw; }
    }

    public string Path => file.Path;
    public ArrowField[] Columns { get; private set; } = [];
    public IReadOnlyList<ArrowBatch> Batches => batches;

    public ReadOnlySpan<byte> Slice(long offset, int length) => file.Slice(offset, length);
    public void Read(long offset, Span<byte> into) => file.Read(offset, into);
    public void Expect(long offset, long length) => file.Expect(offset, length);
    public SaeException Bad(string why) => new($"{Path} is not a usable Arrow file: {why}");
    public void Dispose() => file.Dispose();

    /// <summary>0xFFFFFFFF, i32 length of the metadata, these (a FlatBuffer of type Message), the body; length 0 ends
    /// the stream.</summary>
    void ReadMessages(long at)
    {
        for (var first = true; ; first = false)
        {
            if (at > file.Length - 8)
                throw new InvalidDataException($"it ends at byte {file.Length} without the mark of an end; it is "
                    + "truncated");
            var prefix = file.Slice(at, 8);
            if (BinaryPrimitives.ReadUInt32LittleEndian(prefix) != 0xFFFFFFFF)
                throw new InvalidDataException($"no message starts at byte {at}");
            var length = BinaryPrimitives.ReadInt32LittleEndian(prefix[4..]);
            if (length == 0 && !first) return;
            if (length is < 8 or > MaxMetadataBytes || length > file.Length - at - 8)
                throw new InvalidDataException($"the message at byte {at} claims {length} bytes of metadata; it is "
                    + "truncated");
            var message = FlatTable.Root(file.Slice(at + 8, length));
            var body = at + 8 + length;
            var bodyLength = message.Int64(3);
            if (bodyLength < 0 || bodyLength > file.Length - body)
                throw new InvalidDataException($"the message at byte {at} claims a body of {bodyLength} bytes, the "
                    + $"file has {file.Length - body}; it is truncated");
            var kind = message.Byte(1);
            if (first != (kind == SchemaMessage)) throw new InvalidDataException("its schema is not its first message");
            if (kind == SchemaMessage) Columns = ArrowField.ReadSchema(message.Table(2));
            else if (kind == BatchMessage) batches.Add(ReadBatch(message.Table(2), body, bodyLength));
            else if (kind != DictionaryMessage)
                throw new InvalidDataException($"it holds a message of the unknown kind {kind}");
            at = body + bodyLength;
        }
    }

    static ArrowBatch ReadBatch(FlatTable batch, long body, long bodyLength)
    {
        if (batch.Has(3)) throw new InvalidDataException("its batches are compressed; write it without compression");
        var nodes = new (long, long)[batch.Count(1, 16)];
        for (var i = 0; i < nodes.Length; i++) nodes[i] = batch.Pair(1, i);
        var buffers = new (long, long)[batch.Count(2, 16)];
        for (var i = 0; i < buffers.Length; i++)
        {
            var (offset, length) = batch.Pair(2, i);
            if (offset < 0 || length < 0 || offset > bodyLength || length > bodyLength - offset)
                throw new InvalidDataException($"buffer {i} claims bytes {offset} to {offset + length} of a batch of "
                    + $"{bodyLength}");
            buffers[i] = (body + offset, length);
        }
        return new(batch.Int64(0), nodes, buffers);
    }
}
