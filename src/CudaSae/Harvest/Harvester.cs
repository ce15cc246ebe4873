using System.Runtime.InteropServices;
using System.Text.Json;
using CudaSae.Data;
using CudaSae.Model;

namespace CudaSae.Harvest;

/// <summary>Activations of a text's sentences: one row a token, [rows, 512] float16 .npy, and beside it a .jsonl with one line a sentence:
/// its first row, its text and its pieces, and a .tokens.npy with the pieces' ids, int32 [rows].</summary>
public sealed class Harvester(UseLite encoder, string site)
{
    /// <summary>Writes up to <paramref name="rows"/> rows of whole sentences, taking sentences from the queue.</summary>
    /// <returns>Rows written.</returns>
    public long Write(Queue<string> sentences, long rows, string path)
    {
        if (!UseLite.Sites.Contains(site)) throw new SaeException($"there is no site {site}; one of {string.Join(", ", UseLite.Sites)}");
        using var values = new MemoryStream();
        using var lines = new MemoryStream();
        using var tokens = new MemoryStream();
        long written = 0;
        while (written < rows && sentences.TryPeek(out var sentence))
        {
            var ids = encoder.Tokenizer.Encode(sentence);
            if (ids.Length is 0 or > UseLite.MaxTokens)
            {
                sentences.Dequeue();
                continue;
            }
            if (written + ids.Length > rows) break;     // whole sentences only: no token of one may be split off
            sentences.Dequeue();
            encoder.Run(ids, (name, activations) =>
            {
                if (name == site) Append(values, activations, ids.Length);
            });
            tokens.Write(MemoryMarshal.AsBytes<int>(ids));
            Describe(lines, written, sentence, ids);
            written += ids.Length;
        }
        if (written == 0) throw new SaeException("the text holds no sentence that fits; check that it has one sentence a line");
        WriteNpy(path, NpyFile.MakeHeader("<f2", written, UseLite.Width), values);
        WriteNpy(Path.ChangeExtension(path, ".tokens.npy"), NpyFile.MakeHeader("<i4", written), tokens);
        AtomicFile.Write(Path.ChangeExtension(path, ".jsonl"), lines.WriteTo);
        return written;
    }

    static void WriteNpy(string path, byte[] header, MemoryStream values) => AtomicFile.Write(path, stream =>
    {
        stream.Write(header);
        values.WriteTo(stream);
    });

    static void Append(Stream to, Matrix activations, int tokens)
    {
        var row = new Half[UseLite.Width];
        for (var t = 0; t < tokens; t++)
        {
            for (var i = 0; i < row.Length; i++) row[i] = (Half)activations[t][i];
            to.Write(MemoryMarshal.AsBytes<Half>(row));
        }
    }

    void Describe(Stream to, long firstRow, string sentence, int[] ids)
    {
        using (var json = new Utf8JsonWriter(to, new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteNumber("row", firstRow);
            json.WriteString("text", sentence);
            json.WriteStartArray("tokens");
            foreach (var id in ids) json.WriteStringValue(encoder.Tokenizer.Piece(id));
            json.WriteEndArray();
            json.WriteEndObject();
        }
        to.WriteByte((byte)'\n');
    }
}
