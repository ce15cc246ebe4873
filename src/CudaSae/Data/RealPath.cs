namespace CudaSae.Data;

/// <summary>Where a file lies when links are followed.</summary>
static class RealPath
{
    /// <summary>The full path without links, of a file that can be opened.</summary>
    public static string Of(string path)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Path.GetDirectoryName(full) is not { } folder) return full;
        folder = Of(folder);
        var here = Path.Combine(folder, Path.GetFileName(full));
        return new FileInfo(here).LinkTarget is { } target ? Of(Path.Combine(folder, target)) : here;
    }
}
