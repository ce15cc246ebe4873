namespace CudaSae.Activations.Stores;

/// <summary>Formats of activations by the ends of files' names, in any case.</summary>
static class FileFormat
{
    public const string Npy = ".npy", Safetensors = ".safetensors", Pt = ".pt", Arrow = ".arrow";

    /// <summary>What the name of a file of token ids ends in.</summary>
    public const string Tokens = ".tokens.npy";

    /// <summary>Those of folders, for messages.</summary>
    public const string Known = $"{Npy}, {Safetensors}, {Pt} or {Arrow}";

    /// <summary>The end of an activation file's name; null for other files, and for token ids.</summary>
    public static string? Of(string path) =>
        IsTokens(path) ? null : Array.Find([Npy, Safetensors, Pt, Arrow], end => Ends(path, end));

    public static bool IsTokens(string path) => Ends(path, Tokens);

    static bool Ends(string path, string end) => path.EndsWith(end, StringComparison.OrdinalIgnoreCase);
}
