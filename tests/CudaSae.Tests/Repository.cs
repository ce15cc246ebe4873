namespace CudaSae.Tests;

static class Repository
{
    /// <summary>The checkout: the first folder upwards that holds the solution.</summary>
    public static string Root { get; } = Find();

    static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "CudaSae.sln"))) return folder.FullName;
        throw new InvalidOperationException("the tests run outside a checkout");
    }
}
