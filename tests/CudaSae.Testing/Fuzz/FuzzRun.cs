using System.Diagnostics;

namespace CudaSae.Testing.Fuzz;

/// <summary>Runs the inputs of one parser, one after another.</summary>
static class FuzzRun
{
    const int MostFindings = 20;

    /// <param name="Number">Number of the input: parser, seed and number reproduce it.</param>
    public sealed record Finding(long Number, string What, byte[] Bytes);

    /// <param name="Inputs">Number of inputs that were tried. It is lower than requested after too many findings, or
    /// when the time is over.</param>
    /// <param name="Accepted">Number of inputs that were read.</param>
    /// <param name="Refusals">Distinct messages, without numbers and names.</param>
    public sealed record Result(string Parser, long Inputs, long Accepted, int Refusals,
        IReadOnlyList<Finding> Findings, TimeSpan Time);

    /// <param name="first">Number of the first input.</param>
    /// <param name="last">Time at which the run stops at the latest.</param>
    public static Result Of(FuzzTarget target, long seed, long inputs, long first = 0, TimeSpan? last = null)
    {
        var (clock, accepted, findings) = (Stopwatch.StartNew(), 0L, new List<Finding>());
        var (classes, kinds) = (new HashSet<string>(), new HashSet<string>());
        var number = first;
        using var watchdog = new Timer(_ => Watch(target.Name, seed, ref number), null, 10_000, 10_000);
        for (; number < first + inputs && findings.Count < MostFindings && !(clock.Elapsed > last); number++)
        {
            var (of, bytes) = target.Input(seed, number);
            var verdict = FuzzOracle.Judge(of, bytes);
            if (verdict.Finding is { } what && kinds.Add(what.Split(':')[0])) findings.Add(new(number, what, bytes));
            else if (verdict is { Finding: null, Class: "" }) accepted++;
            else if (classes.Count < 100_000) classes.Add(verdict.Class);
        }
        return new(target.Name, number - first, accepted, classes.Count, findings, clock.Elapsed);
    }

    static long watched = -1;

    /// <summary>Ends the program when one input takes longer than ten seconds, because an input that hangs cannot be
    /// judged.</summary>
    static void Watch(string parser, long seed, ref long number)
    {
        var now = Volatile.Read(ref number);
        if (Interlocked.Exchange(ref watched, now) == now && now != 0)
            Environment.FailFast($"{parser}, seed {seed}, input {now} hangs");
    }
}
