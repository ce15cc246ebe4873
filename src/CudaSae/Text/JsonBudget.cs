using System.Text.Json;

namespace CudaSae.Text;

/// <summary>Counts the parts of a JSON text before they are parsed, so that a small file cannot unfold into much
/// memory: an empty array of two bytes becomes an object of a hundred.</summary>
static class JsonBudget
{
    const long Floor = 16 << 20;        // allowance for small files, which may hold more structure than text

    /// <summary>Checks the memory that a parsed text would take.</summary>
    /// <param name="json">The text, in UTF-8.</param>
    /// <param name="bytesAPart">The most bytes that a reader allocates for one name, value or bracket.</param>
    /// <param name="fileBytes">Size of the file that the text is part of.</param>
    /// <param name="bad">Makes the error from a reason.</param>
    /// <exception cref="SaeException">The parts would exceed four times the file's size.</exception>
    /// <exception cref="JsonException">The text is not JSON.</exception>
    public static void Check(ReadOnlySpan<byte> json, int bytesAPart, long fileBytes, Func<string, SaeException> bad)
    {
        var reader = new Utf8JsonReader(json);
        for (var left = 4 * fileBytes + Floor - 3L * json.Length; reader.Read(); left -= bytesAPart)
            if (left < 0)
                throw bad("its JSON unfolds to more than four times the file's size; it is damaged or made to exhaust "
                    + "memory");
    }
}
