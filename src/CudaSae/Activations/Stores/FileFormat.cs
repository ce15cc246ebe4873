namespace CudaSae.Activations.Stores;

/// <summary>Formats of activations by the endings of file names, in any case of letters.</summary>
static class FileFormat
{
    public const string Npy = ".npy", Safetensors = ".safetensors", Pt = ".pt", Arrow = ".arrow";

    /// <summary>Ending of the name of a file of token ids.</summary>
    public const string Tokens = ".tokens.npy";

    /// <summary>The formats that are read from folders, for messages.</summary>
    public const string Known = $"{Npy}, {Safetensors}, {Pt} or {Arrow}";

    /// <summary>Returns the ending of an activation file's name; null for token ids and other files.</summary>
    public static string? Of(string path) =>
        IsTokens(path) ? null : Array.Find([Npy, Safetensors, Pt, Arrow], end => Ends(path, end));

    public static bool IsTokens(string path) => Ends(path, Tokens);

    static bool Ends(string path, string end) => path.EndsWith(end, StringComparison.OrdinalIgnoreCase);
}
