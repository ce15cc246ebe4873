using System.Runtime.InteropServices;

namespace CudaSae.Files;

/// <summary>Writes a file so that a crash leaves the old one or the new one, never half of either: a temporary file
/// beside it,
/// fsync, rename, fsync of the folder.</summary>
static partial class AtomicFile
{
    /// <exception cref="SaeException">The folder cannot be written or the disk is full; the old file is
    /// untouched.</exception>
    public static void Write(string path, Action<Stream> content)
    {
        var full = Path.GetFullPath(path);
        var temporary = full + ".tmp";
        var opened = false;     // otherwise it is another process's
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(full)!);
            using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20))
            {
                opened = true;
                content(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, full, overwrite: true);
            SyncFolder(Path.GetDirectoryName(full)!);
        }
        catch (Exception e)
        {
            try
            {
                if (opened) File.Delete(temporary);
            }
            catch (Exception f) when (f is IOException or UnauthorizedAccessException) { }
            if (!IsRefusal(e)) throw;
            throw new SaeException($"cannot write {path}: {Reason(e)}; free some space or choose another folder", e);
        }
    }

    /// <summary>Whether the system refused: no space, no permission, or, which .NET calls an argument out of its range,
    /// more than the limit on a file's size.</summary>
    public static bool IsRefusal(Exception e) =>
        e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException { ParamName: "value" };

    /// <summary>Why the system refused, without a full stop.</summary>
    public static string Reason(Exception e) =>
        e is ArgumentOutOfRangeException ? "the file may not grow that large (ulimit -f)" : e.Message.TrimEnd('.');

    public static void WriteText(string path, string text) =>
        Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));

    /// <summary>Gives a finished file a second name, replacing what has it: a hard link, or a copy where the file
    /// system has none. A crash leaves the old one or the new one.</summary>
    /// <exception cref="SaeException">The disk is full; what had the name is untouched.</exception>
    public static void LinkOrCopy(string path, string second)
    {
        var temporary = second + ".tmp";
        File.Delete(temporary);
        if ((OperatingSystem.IsLinux() || OperatingSystem.IsMacOS())
            && Link(Path.GetFullPath(path), Path.GetFullPath(temporary)) == 0)
        {
            File.Move(temporary, second, overwrite: true);
            File.Delete(temporary);     // rename leaves it when both names are of one file already
            SyncFolder(Path.GetDirectoryName(Path.GetFullPath(second))!);
            return;
        }
        Write(second, stream =>
        {
            using var source = File.OpenRead(path);
            source.CopyTo(stream, 1 << 20);
        });
    }

    static void SyncFolder(string folder)
    {
        if (!OperatingSystem.IsLinux() && !OperatingSystem.IsMacOS()) return;
        var handle = Open(folder, 0);
        if (handle < 0) return;
        _ = Fsync(handle);
        _ = Close(handle);
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);
    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string path, string second);
    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int Fsync(int handle);
    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int handle);
}
