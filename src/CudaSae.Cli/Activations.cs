using CudaSae.Activations;

namespace CudaSae.Cli;

/// <summary>Opens activations for a command. All commands open them here, so they print the same lines about what is
/// left out.</summary>
static class Activations
{
    /// <summary>Opens activations and prints the remarks of the source.</summary>
    /// <inheritdoc cref="ActivationSource.Open(IEnumerable{string}, string?, Action{string})"/>
    public static ActivationSource Open(IEnumerable<string> paths, string? tensor = null) =>
        ActivationSource.Open(paths, tensor, Console.WriteLine);
}
