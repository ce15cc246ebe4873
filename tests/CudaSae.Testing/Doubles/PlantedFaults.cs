using System.Diagnostics;
using Xunit;

namespace CudaSae.Testing.Doubles;

/// <summary>Runs the kernels of tests/faults, with and without planted faults, on the emulator with its race
/// detector.</summary>
static class PlantedFaults
{
    static readonly Lazy<string> built = new(Build);

    /// <summary>Path of the library, which is built at the first call.</summary>
    public static string Library => built.Value;

    static string Build()
    {
        var path = Path.Combine(Repository.Root, "artifacts", "emulator", "libcudasae_faults.so");
        string[] arguments = ["build/emulator.sh", "--races", "--kernels", "tests/faults", path];
        using var build = Process.Start(new ProcessStartInfo("bash", arguments)
        {
            WorkingDirectory = Repository.Root, RedirectStandardError = true, RedirectStandardOutput = true,
        })!;
        var error = build.StandardError.ReadToEnd();
        build.WaitForExit();
        Assert.True(build.ExitCode == 0, error);
        return path;
    }
}
