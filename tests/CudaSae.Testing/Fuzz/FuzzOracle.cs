using System.Diagnostics;
using System.Text.RegularExpressions;

namespace CudaSae.Testing.Fuzz;

/// <summary>What a parser may do with any input: read it, or refuse it in one line; within two seconds; with no more
/// memory than four times the file and a floor.</summary>
static partial class FuzzOracle
{
    /// <summary>Bytes a reader may allocate whatever the file's size: the floor that the readers' own budgets
    /// have.</summary>
    public const long Floor = 16 << 20;

    const int MaxMessage = 4000;
    static readonly TimeSpan Hang = TimeSpan.FromSeconds(2);

    /// <param name="Finding">What must not be; null where all is well.</param>
    /// <param name="Class">Of the refusal: its message without what differs between files; empty for success.</param>
    public readonly record struct Verdict(string? Finding, string Class);

    public static Verdict Judge(FuzzCase of, byte[] bytes)
    {
        var verdict = Once(of, bytes);
        // a pause of the machine or code compiled for the first time is none
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
            + $"{e.StackTrace?.Split('\n').Select(l => l.Trim()).FirstOrDefault(l => l.Contains("CudaSae") && !l.Contains("Fuzz"))?.Split(" in ")[0]}: {e.Message.Split('\n')[0]}";

    /// <summary>Numbers, quoted text, and what follows a name of a tensor.</summary>
    [GeneratedRegex(@"[0-9]+|'[^']*'|(?<=tensor |member |named |column |array )\S+|\(.*\)|\[.*\]")]
    private static partial Regex Varying();
}
