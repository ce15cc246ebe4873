using CudaSae.Files.Zip;

namespace CudaSae.Files;

/// <summary>Passes bytes on to a stream, and computes their CRC-32.</summary>
/// <param name="inner">Receives the bytes; not owned.</param>
sealed class SummedStream(Stream inner) : Stream
{
    long written;

    /// <summary>The CRC-32 of the bytes so far, as in zlib.crc32.</summary>
    public uint Checksum { get; private set; }

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => written;

    public override long Position
    {
        get => written;
        set => throw new NotSupportedException();
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        inner.Write(buffer);
        Checksum = Crc32.Append(Checksum, buffer);
        written += buffer.Length;
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
    public override void Flush() => inner.Flush();
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <summary>Returns the CRC-32 of a whole file.</summary>
    /// <exception cref="SaeException">The file cannot be read.</exception>
    public static uint ChecksumOf(string path)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0,
                FileOptions.SequentialScan);
            var (buffer, crc) = (new byte[Math.Clamp(file.Length, 1, 4 << 20)], 0u);
            while (file.Read(buffer) is > 0 and var read) crc = Crc32.Append(crc, buffer.AsSpan(0, read));
            return crc;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
    }
}
