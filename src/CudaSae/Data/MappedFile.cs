using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace CudaSae.Data;

/// <summary>A whole file, read-only, as memory. One that is deleted or replaced meanwhile can still be read to its end; one that is shortened cannot, and touching
/// what is gone would end the process by SIGBUS: so its length is asked for again before bytes are handed out, once a tick of the clock (a system call a row would
/// cost about as much as the row). Who cuts a file within that tick, while its rows are being copied, still ends the process.</summary>
public sealed unsafe class MappedFile : IDisposable
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
            file = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
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
        if (offset < 0 || length < 0 || offset > Length - length) throw new ArgumentOutOfRangeException(nameof(offset), $"{offset} + {length} of {Length} bytes");
        if (Environment.TickCount64 != asked) RequireLength();
        return new(start + offset, length);
    }

    void RequireLength()
    {
        asked = Environment.TickCount64;
        if (handle is null) return;
        var now = RandomAccess.GetLength(handle);
        if (now < Length) throw new SaeException($"{Path} was shortened from {Length} to {now} bytes while it is read; put the old file back, and --resume a run that was under way", kind: SaeErrorKind.Files);
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
