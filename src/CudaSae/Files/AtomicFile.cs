using System.Runtime.InteropServices;

namespace CudaSae.Files;

/// <summary>Writes a file so that a crash leaves either the old or the new one complete. It writes a temporary file
/// beside it, calls fsync, renames it, and calls fsync on the folder.</summary>
static partial class AtomicFile
{
    /// <summary>Replaces a file.</summary>
    /// <param name="path">The file; its folder is created if necessary.</param>
    /// <param name="content">Writes the content to a stream.</param>
    /// <exception cref="SaeException">The folder cannot be written or the disk is full; the old file is
    /// unchanged.</exception>
    public static void Write(string path, Action<Stream> content)
    {
        var full = Path.GetFullPath(path);
        var temporary = full + ".tmp";
        var opened = false;     // otherwise the temporary file belongs to another process
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

    /// <summary>Returns whether the system refused the write: there is no space, no permission, or the file would
    /// exceed the limit on its size, which .NET reports as an argument out of its range.</summary>
    public static bool IsRefusal(Exception e) =>
        e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException { ParamName: "value" };

    /// <summary>Returns the reason of a refusal, without a full stop.</summary>
    public static string Reason(Exception e) =>
        e is ArgumentOutOfRangeException ? "the file may not grow that large (ulimit -f)" : e.Message.TrimEnd('.');

    /// <summary>Replaces a file by a text in UTF-8.</summary>
    public static void WriteText(string path, string text) =>
        Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));

    /// <summary>Gives a finished file a second name and replaces any file of that name. The second name is a hard link,
    /// or a copy if the file system has no links. A crash leaves either the old or the new one.</summary>
    /// <exception cref="SaeException">The disk is full; the file that had the name is unchanged.</exception>
    public static void LinkOrCopy(string path, string second)
    {
        var temporary = second + ".tmp";
        File.Delete(temporary);
        if ((OperatingSystem.IsLinux() || OperatingSystem.IsMacOS())
            && Link(Path.GetFullPath(path), Path.GetFullPath(temporary)) == 0)
        {
            File.Move(temporary, second, overwrite: true);
            File.Delete(temporary);     // rename leaves it if both names already belong to one file
            SyncFolder(Path.GetDirectoryName(Path.GetFullPath(second))!);
            return;
        }
        Write(second, stream =>
        {
            using var source = File.OpenRead(path);
            source.CopyTo(stream, 1 << 20);
        });
    }

    /// <summary>Removes a file, if there is one, and calls fsync on the folder.</summary>
    /// <exception cref="SaeException">The file cannot be removed.</exception>
    public static void Delete(string path)
    {
        if (!File.Exists(path)) return;
        try { File.Delete(path); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot remove {path}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
        SyncFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
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
