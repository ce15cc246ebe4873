namespace CudaSae.Testing;

static class Repository
{
    /// <summary>The checkout: the first folder upwards that contains the solution.</summary>
    public static string Root { get; } = Find();

    /// <summary>Path of a file in shared/data beside or above the checkout; null if this machine does not have
    /// it.</summary>
    public static string? Shared(string name)
    {
        for (var folder = new DirectoryInfo(Root).Parent; folder is not null; folder = folder.Parent)
            if (Path.Combine(folder.FullName, "shared", "data", name) is var path && File.Exists(path)) return path;
        return null;
    }

    static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "CudaSae.sln"))) return folder.FullName;
        throw new InvalidOperationException("the tests run outside a checkout");
    }
}
