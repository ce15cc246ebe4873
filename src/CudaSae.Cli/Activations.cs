using CudaSae.Activations;
using CudaSae.Files;

namespace CudaSae.Cli;

/// <summary>Opens activations for a command. All commands open them here, and so print the same lines on what is left
/// out.</summary>
static class Activations
{
    /// <summary>As <see cref="ActivationSource.Open"/>; prints the source's remarks.</summary>
    public static ActivationSource Open(IEnumerable<string> paths, string? tensor = null)
    {
        var source = ActivationSource.Open(paths, tensor);
        foreach (var remark in source.Remarks) Console.WriteLine(remark);
        return source;
    }

    /// <summary>Opens held-out rows; prints a line where they are training rows too.</summary>
    public static ActivationSource OpenHeldOut(string path, string? tensor, ActivationSource training)
    {
        var held = Open([path], tensor);
        if (held.FileSharedWith(training) is { } file)
            Console.WriteLine($"{TensorFile.Shown(file)} is both held out and trained on: "
                + "its figures are not those of new rows");
        return held;
    }
}
