using System.Runtime.InteropServices;

namespace CudaSae.Files;

/// <summary>Identifies the file behind a path, whatever links lead to it.</summary>
static partial class RealPath
{
    /// <summary>Returns the full path without symbolic links, for a file that can be opened.</summary>
    public static string Of(string path)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Path.GetDirectoryName(full) is not { } folder) return full;
        folder = Of(folder);
        var here = Path.Combine(folder, Path.GetFileName(full));
        return new FileInfo(here).LinkTarget is { } target ? Of(Path.Combine(folder, target)) : here;
    }

    /// <summary>Returns a text that is equal for two paths of one file. Hard links are included if the system reports
    /// them.</summary>
    public static string Identity(string path) => Inode(path) ?? Of(path);

    /// <summary>Returns the device and inode number of a file on Linux; null elsewhere.</summary>
    static unsafe string? Inode(string path)
    {
        const int CurrentFolder = -100;                                     // AT_FDCWD
        const uint Number = 0x100;                                          // STATX_INO
        const int Bytes = 256, NumberAt = 32, MajorAt = 136, MinorAt = 140; // struct statx on every architecture
        if (!OperatingSystem.IsLinux()) return null;
        var into = stackalloc byte[Bytes];
        try
        {
            return Statx(CurrentFolder, path, 0, Number, into) == 0
                ? $"{*(uint*)(into + MajorAt)}:{*(uint*)(into + MinorAt)}:{*(ulong*)(into + NumberAt)}" : null;
        }
        catch (EntryPointNotFoundException) { return null; }
    }

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int Statx(int folder, string path, int flags, uint mask, byte* into);
}
