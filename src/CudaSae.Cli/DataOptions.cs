using System.CommandLine;
using CudaSae.Runs;

namespace CudaSae.Cli;

/// <summary>Options that name rows, and methods that open the named rows.</summary>
static class DataOptions
{
    public static Option<string?> Tensor() =>
        new("--tensor")
        {
            Description =
                "what to read from a file or folder that holds several: the name of a tensor (.safetensors, .pt) or "
                    + "column (.arrow), or layer=13 of saev's shards, with ,tokens=all to include the CLS token"
        };

    public static Option<string?> HeldOut() => new("--held-out")
    {
        Description = "rows at the end of the data that are kept for evaluation, or a file of such rows; "
            + "a tenth, at most 8192, if not given",
        HelpName = "rows|file",
    };

    /// <summary>Opens the named rows and prints one line for each file that is left out.</summary>
    public static RunData Open(string[] paths, string? heldOut, string? tensor, string[]? beside = null) =>
        RunData.Open(new(paths, beside ?? [], heldOut, tensor), Console.WriteLine);

    /// <summary>Opens the named rows like <see cref="Open"/>, or the shipped rows if none are named.</summary>
    public static RunData OpenOrShipped(string[] paths, string? heldOut, string? tensor, string[]? beside = null)
    {
        (paths, heldOut) = ShippedData.OrGiven(paths, heldOut);
        return Open(paths, heldOut, tensor, beside);
    }
}
