using System.Runtime.InteropServices;

namespace CudaSae.Files;

/// <summary>Which file a path is, whatever links lead to it.</summary>
static partial class RealPath
{
    /// <summary>The full path without symbolic links, of a file that can be opened.</summary>
    public static string Of(string path)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Path.GetDirectoryName(full) is not { } folder) return full;
        folder = Of(folder);
        var here = Path.Combine(folder, Path.GetFileName(full));
        return new FileInfo(here).LinkTarget is { } target ? Of(Path.Combine(folder, target)) : here;
    }

    /// <summary>Equal for two paths of one file, hard links included where the system tells them.</summary>
    public static string Identity(string path) => Inode(path) ?? Of(path);

    /// <summary>Device and number of a file, on Linux; null elsewhere.</summary>
    static unsafe string? Inode(string path)
    {
        const int CurrentFolder = -100;                                     // AT_FDCWD
        const uint Number = 0x100;                                          // STATX_INO
        const int Bytes = 256, NumberAt = 32, MajorAt = 136, MinorAt = 140; // struct statx, alike on all architectures
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
