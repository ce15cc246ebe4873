using System.Runtime.InteropServices;
using System.Text.Json;
using CudaSae.Activations.Stores;
using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Lab.Harvest;

/// <summary>Activations of a network on sequences: one row a token, [rows, width] .npy, and beside it a .jsonl with one
/// line a sequence:
/// its first row, its text and its pieces, a .tokens.npy with the pieces' ids, int32 [rows], and a .site.json with the
/// names of network and site.</summary>
/// <param name="site">One of the network's sites.</param>
/// <param name="type">Float16 or Float32.</param>
/// <param name="excludeBos">Leaves out the rows of tokens that begin a sequence.</param>
/// <exception cref="SaeException">There is no such site.</exception>
sealed class Harvester(IHostModel model, string site, InputType type = InputType.Float16, bool excludeBos = false)
{
    readonly Site place = model.Site(site);

    /// <summary>Writes up to <paramref name="rows"/> rows of whole sequences, taking sequences from the
    /// queue.</summary>
    /// <returns>Rows written.</returns>
    public long Write(SequenceQueue sequences, long rows, string path)
    {
        var taken = new List<TokenSequence>();
        long written = 0;
        while (sequences.TryPeek(out var sequence))
        {
            var count = sequence.Ids.Count(Kept);
            if (written + count > rows) break;      // whole sequences only: no token of one may be split off
            sequences.Advance();
            taken.Add(sequence);
            written += count;
        }
        if (written == 0)
            throw new SaeException("there is no sequence that fits; check that the text has one sentence a line, or "
                + "give --rows more");
        Write(path, NpyFile.MakeHeader(type == InputType.Float16 ? "<f2" : "<f4", written, place.Width),
            stream => Activations(taken, stream));
        Write(Path.ChangeExtension(path, FileFormat.Tokens), NpyFile.MakeHeader("<i4", written), stream =>
        {
            foreach (var sequence in taken) stream.Write(MemoryMarshal.AsBytes<int>([.. sequence.Ids.Where(Kept)]));
        });
        AtomicFile.Write(Path.ChangeExtension(path, ".jsonl"), stream => Describe(stream, taken));
        SiteNote.Write(path, model.Name, site);
        return written;
    }

    bool Kept(int id) => !excludeBos || id != model.Bos;

    static void Write(string path, byte[] header, Action<Stream> values) => AtomicFile.Write(path, stream =>
    {
        stream.Write(header);
        values(stream);
    });

    void Activations(List<TokenSequence> taken, Stream to)
    {
        foreach (var sequence in taken)
            model.Run(sequence.Ids, (name, activations) =>
            {
                if (name != site) return;
                for (var t = 0; t < sequence.Ids.Length; t++)
                    if (Kept(sequence.Ids[t])) Append(to, activations[t]);
            });
    }

    void Append(Stream to, ReadOnlySpan<float> row)
    {
        if (!Finite.All(MemoryMarshal.AsBytes(row), InputType.Float32))
            throw new SaeException($"{site} holds NaN or infinity; are these the model's weights?",
                kind: SaeErrorKind.Numbers);
        if (type != InputType.Float16)
        {
            to.Write(MemoryMarshal.AsBytes(row));
            return;
        }
        Span<Half> halves = stackalloc Half[64];
        for (var i = 0; i < row.Length; i++)
        {
            halves[i % 64] = (Half)row[i];
            if (Half.IsInfinity(halves[i % 64]))
                throw new SaeException($"{site} holds {row[i]}, more than float16 can; harvest as float32",
                    kind: SaeErrorKind.Numbers);
            if (i % 64 == 63 || i == row.Length - 1) to.Write(MemoryMarshal.AsBytes(halves[..(i % 64 + 1)]));
        }
    }

    void Describe(Stream to, List<TokenSequence> taken)
    {
        long first = 0;
        foreach (var (ids, text) in taken)
        {
            using (var json = new Utf8JsonWriter(to,
                new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
            {
                json.WriteStartObject();
                json.WriteNumber("row", first);
                json.WriteString("text", text);
                json.WriteStartArray("tokens");
                foreach (var id in ids.Where(Kept)) json.WriteStringValue(model.Piece(id));
                json.WriteEndArray();
                json.WriteEndObject();
            }
            to.WriteByte((byte)'\n');
            first += ids.Count(Kept);
        }
    }
}
