namespace CudaSae.Cli;

/// <summary>Finds the activations in data/, in the current folder, the program's folder, or a folder above
/// either.</summary>
static class ShippedData
{
    const string Train = "use_lite_resid_post0_train.npy", Held = "use_lite_resid_post0_held_out.npy";

    public static (string[] Paths, string? HeldOut) OrGiven(string[] paths, string? heldOut)
    {
        if (paths.Length > 0) return (paths, heldOut);
        foreach (var start in new[] { Environment.CurrentDirectory, AppContext.BaseDirectory })
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                var train = Path.Combine(folder.FullName, "data", Train);
                if (File.Exists(train)) return ([train], heldOut ?? Path.Combine(folder.FullName, "data", Held));
            }
        throw new SaeException($"no data were given and the shipped data/{Train} was not found; run from the checkout, "
            + "or name activation files");
    }
}
