using CudaSae.Backends;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>Chooses the backend of a command that creates several.</summary>
static class ChosenBackend
{
    /// <summary>Returns the backend that <paramref name="kind"/> selects on this machine. Prints the reason if auto
    /// does not select the GPU.</summary>
    public static BackendKind Of(BackendKind kind)
    {
        var chosen = BackendFactory.Chosen(kind, out var why);
        if (why.Length > 0) Console.WriteLine($"on the CPU: {SettingSpelling.ForCommandLine(why)}");
        return chosen;
    }
}
