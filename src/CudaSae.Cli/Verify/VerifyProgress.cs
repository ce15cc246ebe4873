using System.Text.Json;

namespace CudaSae.Cli;

/// <summary>The progress of a verification. A file carries it to the process that continues after a case that ended the
/// context.</summary>
/// <param name="Next">Number of the next case-run, or of the one that is running.</param>
/// <param name="Differing">Quantities that differ so far.</param>
/// <param name="Failed">Case-runs that ended with an error so far.</param>
readonly record struct VerifyProgress(int Next, int Differing, int Failed)
{
    /// <exception cref="SaeException">The file does not have the form of <see cref="Write"/>.</exception>
    public static VerifyProgress Read(string path)
    {
        try { return JsonSerializer.Deserialize<VerifyProgress>(File.ReadAllText(path)); }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{path} does not state the progress of a verification: {e.Message.Split(". ")[0]}",
                e);
        }
    }

    public void Write(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this));

    /// <summary>The last line of the command.</summary>
    public string Sentence => (Differing, Failed) switch
    {
        (0, 0) => "all equal within rounding",
        (_, 0) => $"{Differing} quantities differ",
        (0, _) => $"{Failed} cases failed; the others are equal within rounding",
        _ => $"{Differing} quantities differ, {Failed} cases failed",
    };
}
