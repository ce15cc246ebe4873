using CudaSae.Backends;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>The backend of commands that make several.</summary>
static class ChosenBackend
{
    /// <summary>What <paramref name="kind"/> means on this machine; prints why auto does not take the GPU.</summary>
    public static BackendKind Of(BackendKind kind)
    {
        var chosen = BackendFactory.Chosen(kind, out var why);
        if (why.Length > 0) Console.WriteLine($"on the CPU: {SettingSpelling.ForCommandLine(why)}");
        return chosen;
    }
}
