using System.Text.Json;

namespace CudaSae.Text;

/// <summary>Counts the parts of a JSON text before anything is made of them, so that a small file cannot unfold into
/// much memory: an empty array of two bytes is an object of a hundred.</summary>
static class JsonBudget
{
    const long Floor = 16 << 20;        // so that small files may hold more structure than text

    /// <param name="bytesAPart">What a reader makes of one name, value or bracket, at most.</param>
    /// <param name="fileBytes">Of the file that the text is part of.</param>
    /// <exception cref="SaeException">Its parts would exceed four times the file.</exception>
    /// <exception cref="JsonException">It is not JSON.</exception>
    public static void Check(ReadOnlySpan<byte> json, int bytesAPart, long fileBytes, Func<string, SaeException> bad)
    {
        var reader = new Utf8JsonReader(json);
        for (var left = 4 * fileBytes + Floor - 3L * json.Length; reader.Read(); left -= bytesAPart)
            if (left < 0)
                throw bad("its JSON unfolds to more than four times the file's size; it is damaged or made to exhaust "
                    + "memory");
    }
}
