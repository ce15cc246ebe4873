using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace CudaSae.Files;

/// <summary>A whole file, read-only. One that is deleted or replaced meanwhile can still be read to its end; one that
/// is shortened cannot. Rows of a run's data and states of checkpoints are
/// copied out by <see cref="Read"/>, which notices that always. Headers, and weights that are loaded once, are seen in
/// place by <see cref="Slice"/>: touching what is gone there would end the process by
/// SIGBUS, so the file's length is asked for again before bytes are handed out, once a tick of the clock.</summary>
sealed unsafe class MappedFile : IDisposable
{
    readonly SafeFileHandle? handle;
    readonly MemoryMappedFile? file;
    readonly MemoryMappedViewAccessor? view;
    readonly byte* start;
    long asked = long.MinValue;     // when the length was asked for, in the clock's ticks
    GCHandle pinned;
    bool disposed;

    /// <exception cref="SaeException">The file is missing or cannot be read.</exception>
    public MappedFile(string path)
    {
        Path = path;
        try
        {
            if (new FileInfo(path).Length == 0) return;
            handle = File.OpenHandle(path);
            if ((Length = RandomAccess.GetLength(handle)) == 0) return;
            file = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read,
                HandleInheritability.None, leaveOpen: true);
            view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Dispose();
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e);
        }
    }

    /// <summary>Bytes that are in memory already, under a name for messages.</summary>
    internal MappedFile(string path, byte[] content)
    {
        (Path, Length) = (path, content.Length);
        pinned = GCHandle.Alloc(content, GCHandleType.Pinned);
        start = (byte*)pinned.AddrOfPinnedObject();
    }

    public string Path { get; }
    public long Length { get; }

    /// <exception cref="SaeException">The file was shortened since it was opened.</exception>
    public ReadOnlySpan<byte> Slice(long offset, int length)
    {
        if (offset < 0 || length < 0 || offset > Length - length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{offset} + {length} of {Length} bytes");
        if (Environment.TickCount64 != asked) RequireLength();
        return new(start + offset, length);
    }

    void RequireLength()
    {
        asked = Environment.TickCount64;
        if (handle is not null && RandomAccess.GetLength(handle) < Length) throw Shortened();
    }

    SaeException Shortened() =>
        new($"{Path} was shortened from {Length} to {RandomAccess.GetLength(handle!)} bytes while it is read; put the "
            + "old file back, and --resume a run that was under way",
            kind: SaeErrorKind.Files);

    /// <summary>Copies the bytes from <paramref name="offset"/> on, as many as there is room for.</summary>
    /// <exception cref="SaeException">The file was shortened since it was opened, or the disk failed.</exception>
    public void Read(long offset, Span<byte> into)
    {
        if (offset < 0 || offset > Length - into.Length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{offset} + {into.Length} of {Length} bytes");
        if (handle is null)
        {
            new ReadOnlySpan<byte>(start + offset, into.Length).CopyTo(into);
            return;
        }
        try
        {
            while (into.Length > 0)
            {
                var read = RandomAccess.Read(handle, into, offset);
                if (read == 0) throw Shortened();
                offset += read;
                into = into[read..];
            }
        }
        catch (IOException e)
        {
            throw new SaeException($"cannot read {Path}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
    }

    /// <summary>Says that these bytes are read soon; does not wait.</summary>
    public void Expect(long offset, long length)
    {
        if (handle is not null) Readahead.WillNeed(handle, offset, length);
    }

    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        if (pinned.IsAllocated) pinned.Free();
        else if (start is not null) view!.SafeMemoryMappedViewHandle.ReleasePointer();
        view?.Dispose();
        file?.Dispose();
        handle?.Dispose();
    }
}
