using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using CudaSae.Files;
using CudaSae.Files.Zip;
using CudaSae.Text;

namespace CudaSae.Formats;

/// <summary>One piece of a finished SAE: the weights of a range of latents.</summary>
/// <param name="Name">Name of the file, which is in the folder of the index.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Checksum">CRC-32 of the whole file, in eight hexadecimal digits.</param>
/// <param name="First">The first latent of the piece.</param>
/// <param name="Count">Number of latents of the piece.</param>
sealed record SaePiece(string Name, long Bytes, string Checksum, int First, int Count);

/// <summary>The index of a finished SAE in pieces. The SAE exists from the moment at which this file gets its
/// name.</summary>
/// <param name="Pieces">The pieces in the order of their latents.</param>
/// <param name="Checksum">CRC-32 of the other fields.</param>
sealed record PieceIndex(int Version, SaePiece[] Pieces, string Checksum = "")
{
    const int Latest = 1;
    const long MaxBytes = 1 << 20;

    /// <summary>Makes an index with its checksum.</summary>
    public static PieceIndex Of(SaePiece[] pieces)
    {
        var index = new PieceIndex(Latest, pieces);
        return index with { Checksum = index.Crc() };
    }

    /// <summary>Number of latents of the SAE.</summary>
    [JsonIgnore]
    public int Latents => Pieces[^1].First + Pieces[^1].Count;

    public void Write(string path) =>
        AtomicFile.WriteText(path, JsonSerializer.Serialize(this, PieceJson.Indented.PieceIndex) + "\n");

    /// <summary>Reads an index and compares its checksum.</summary>
    /// <exception cref="SaeException">The index is damaged or of a later version, or cannot be read.</exception>
    public static PieceIndex Read(string path)
    {
        byte[] json;
        try
        {
            if (new FileInfo(path).Length > MaxBytes) throw Damaged(path, $"it has more than {MaxBytes >> 20} MiB");
            json = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
        var index = JsonRecord.Read(json, PieceJson.Compact.PieceIndex, (why, cause) => Damaged(path, why, cause));
        if (index.Checksum != index.Crc()) throw Damaged(path, "it differs from its checksum");
        if (index.Version != Latest)
            throw new SaeException($"{path} is an SAE's index of version {index.Version}, but this program reads "
                + $"versions up to {Latest}; use the program that wrote it", kind: SaeErrorKind.Files);
        index.Check(path);
        return index;
    }

    /// <summary>Makes the error of a file that differs from the one that was written.</summary>
    public static SaeException Damaged(string path, string why, Exception? cause = null) =>
        new($"{path} is damaged: {why}", cause, SaeErrorKind.Files);

    /// <summary>Requires that the pieces have the names of their places, and that each latent is in one
    /// piece.</summary>
    void Check(string path)
    {
        if (Pieces.Length < 2) throw Damaged(path, $"it names {Pieces.Length} pieces");
        var (stem, next) = (PieceFiles.StemOf(Pieces[0].Name), 0L);
        for (var place = 0; place < Pieces.Length; place++)
        {
            var (piece, expected) = (Pieces[place], PieceFiles.NameOf(stem ?? PieceFiles.Stem, place, Pieces.Length));
            if (piece.Name != expected)
                throw Damaged(path, $"it names {TensorFile.Shown(piece.Name)} in the place of {expected}");
            if (piece.Count < 1 || piece.First != next)
                throw Damaged(path, piece.First < next
                    ? $"{piece.Name} and a piece before it both hold latent {piece.First}"
                    : $"no piece before {piece.Name} holds latent {next}");
            next += piece.Count;
        }
        if (next > int.MaxValue) throw Damaged(path, $"it states {next} latents");
    }

    /// <summary>Returns the CRC-32 of the index as text: the line version=, and a line for each piece.</summary>
    string Crc()
    {
        var text = new StringBuilder().Append(CultureInfo.InvariantCulture, $"version={Version}\n");
        foreach (var piece in Pieces)
            text.Append(CultureInfo.InvariantCulture,
                $"{piece.Name} {piece.Bytes} {piece.Checksum} {piece.First} {piece.Count}\n");
        return Hex(Crc32.Append(0, Encoding.UTF8.GetBytes(text.ToString())));
    }

    /// <summary>Returns a CRC-32 as an index states it.</summary>
    public static string Hex(uint crc) => crc.ToString("x8", CultureInfo.InvariantCulture);
}

/// <summary>JSON of the index of an SAE in pieces.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(PieceIndex))]
sealed partial class PieceJson : JsonSerializerContext
{
    public static PieceJson Compact { get; } = new(JsonRecord.Options());

    public static PieceJson Indented { get; } = new(JsonRecord.Options(indented: true));
}
