using System.Diagnostics;
using System.Text.RegularExpressions;

namespace CudaSae.Testing.Fuzz;

/// <summary>Judges a parser: it reads any input or refuses it in one line, within two seconds, and allocates at most
/// four times the file's size above a floor.</summary>
static partial class FuzzOracle
{
    /// <summary>Bytes that a reader may allocate for a file of any size: the floor of the readers' budgets.</summary>
    public const long Floor = 16 << 20;

    const int MaxMessage = 4000;
    static readonly TimeSpan Hang = TimeSpan.FromSeconds(2);

    /// <param name="Finding">Description of the violation; null without one.</param>
    /// <param name="Class">Class of the refusal: its message without the parts that differ between files; empty for
    /// success.</param>
    public readonly record struct Verdict(string? Finding, string Class);

    public static Verdict Judge(FuzzCase of, byte[] bytes)
    {
        var verdict = Once(of, bytes);
        // Judges a second time, because a pause of the machine or a first compilation is not a finding.
        return verdict.Finding is null ? verdict : Once(of, bytes);
    }

    static Verdict Once(FuzzCase of, byte[] bytes)
    {
        var (before, clock) = (GC.GetAllocatedBytesForCurrentThread(), Stopwatch.GetTimestamp());
        string? message = null;
        try { of.Read(bytes); }
        catch (SaeException e) { message = e.Message; }
        catch (Exception e) when (e is not OutOfMemoryException) { return new(Strange(e), ""); }
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        var size = bytes.Length + of.BytesBeside;
        if (Stopwatch.GetElapsedTime(clock) > Hang) return new("it takes more than 2 s", "");
        if (allocated > 4 * size + Floor) return new($"it allocates {allocated} bytes for a file of {size}", "");
        if (message is null) return new(null, "");
        if (message.Any(c => char.IsControl(c) || c is '\u2028' or '\u2029'))
            return new("its message has control characters", "");
        return message.Length is 0 or > MaxMessage ? new($"its message has {message.Length} characters", "")
            : new(null, Varying().Replace(message, "#"));
    }

    static string Strange(Exception e) =>
        $"{e.GetType().Name} at "
            + e.StackTrace?.Split('\n').Select(l => l.Trim())
                .FirstOrDefault(l => l.Contains("CudaSae") && !l.Contains("Fuzz"))?.Split(" in ")[0]
            + $": {e.Message.Split('\n')[0]}";

    /// <summary>Matches numbers, quoted text, and the text after the name of a tensor.</summary>
    [GeneratedRegex(@"[0-9]+|'[^']*'|(?<=tensor |member |named |column |array )\S+|\(.*\)|\[.*\]")]
    private static partial Regex Varying();
}
