using System.Globalization;
using System.Text.RegularExpressions;
using CudaSae.Files;

namespace CudaSae.Formats;

/// <summary>The files of an SAE in pieces in its folder: sae_weights-00001-of-00004.safetensors and so on, and the
/// index sae_weights.safetensors.index.json. A piece counts if the index names it.</summary>
static partial class PieceFiles
{
    public const string Stem = "sae_weights", IndexName = Stem + End + ".index.json";
    const string End = ".safetensors", Temporary = ".tmp";

    public static string IndexPath(string folder) => Path.Combine(folder, IndexName);

    /// <summary>Returns whether a folder holds an SAE in pieces.</summary>
    public static bool HasIndex(string folder) => File.Exists(IndexPath(folder));

    /// <param name="place">Place of the piece, from 0; the name counts from 1.</param>
    public static string NameOf(string stem, int place, int pieces) =>
        string.Create(CultureInfo.InvariantCulture, $"{stem}-{place + 1:D5}-of-{pieces:D5}{End}");

    /// <summary>Returns the beginning of a piece's name, before its number; null if the name is not that of a
    /// piece.</summary>
    public static string? StemOf(string name) =>
        PieceName().Match(name) is { Success: true } match ? match.Groups[1].Value : null;

    /// <summary>Returns the beginning of the names of new pieces, and removes pieces that no index names. If an index
    /// names sae_weights-00001-of-00004.safetensors, the beginning is sae_weights-2 and so on, so that no piece of an
    /// SAE is replaced.</summary>
    public static string NewStem(string folder)
    {
        if (!Directory.Exists(folder)) return Stem;
        var taken = Taken(folder);
        RemovePieces(folder, except: taken);
        var stem = Stem;
        for (var number = 2; taken.Contains(stem); number++) stem = $"{Stem}-{number}";
        return stem;
    }

    /// <summary>Returns the beginnings of names that an index names; those of all pieces if it cannot be
    /// read.</summary>
    static HashSet<string> Taken(string folder)
    {
        if (!HasIndex(folder)) return [];
        try { return [StemOf(PieceIndex.Read(IndexPath(folder)).Pieces[0].Name)!]; }
        catch (SaeException) { }
        return [.. Pieces(folder).Select(path => StemIn(path)!)];
    }

    /// <summary>Returns whether all pieces that the index names are there; true without an index.</summary>
    public static bool AreThere(string folder)
    {
        if (!HasIndex(folder)) return true;
        try
        {
            return PieceIndex.Read(IndexPath(folder)).Pieces
                .All(piece => File.Exists(Path.Combine(folder, piece.Name)));
        }
        catch (SaeException) { return false; }
    }

    /// <summary>Removes an SAE in pieces. Its index is removed first, so that it is either whole or not
    /// there.</summary>
    /// <exception cref="SaeException">A file cannot be removed.</exception>
    public static void Remove(string folder)
    {
        AtomicFile.Delete(IndexPath(folder));
        RemovePieces(folder, except: []);
    }

    /// <summary>Removes the pieces of other names.</summary>
    /// <param name="except">The beginnings of the names that stay.</param>
    /// <exception cref="SaeException">A file cannot be removed.</exception>
    public static void RemovePieces(string folder, HashSet<string> except)
    {
        foreach (var path in Pieces(folder))
            if (!except.Contains(StemIn(path)!)) AtomicFile.Delete(path);
    }

    /// <summary>Returns the pieces in a folder, and those that were not finished.</summary>
    static string[] Pieces(string folder)
    {
        try { return [.. Directory.GetFiles(folder, Stem + "-*").Where(path => StemIn(path) is not null)]; }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {folder}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
    }

    static string? StemIn(string path) => Path.GetFileName(path) is var name
        && name.EndsWith(Temporary, StringComparison.Ordinal) ? StemOf(name[..^Temporary.Length]) : StemOf(name);

    [GeneratedRegex(@"\A(sae_weights(?:-[0-9]{1,4})?)-[0-9]{5}-of-[0-9]{5}\.safetensors\z")]
    private static partial Regex PieceName();
}
