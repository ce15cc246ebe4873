using CudaSae.Activations;
using CudaSae.Files;

namespace CudaSae.Cli;

/// <summary>Opens activations for a command. All commands open them here, so they print the same lines about what is
/// left out.</summary>
static class Activations
{
    /// <summary>Opens activations with <see cref="ActivationSource.Open"/> and prints the remarks of the
    /// source.</summary>
    public static ActivationSource Open(IEnumerable<string> paths, string? tensor = null)
    {
        var source = ActivationSource.Open(paths, tensor);
        foreach (var remark in source.Remarks) Console.WriteLine(remark);
        return source;
    }

    /// <summary>Opens held-out rows and prints a line if they are also training rows.</summary>
    public static ActivationSource OpenHeldOut(string path, string? tensor, ActivationSource training)
    {
        var held = Open([path], tensor);
        if (held.FileSharedWith(training) is { } file)
            Console.WriteLine($"{TensorFile.Shown(file)} is both held out and trained on: "
                + "its figures are not those of new rows");
        return held;
    }
}
