using System.Diagnostics;

namespace CudaSae.Testing.Fuzz;

/// <summary>Inputs of one parser, one after another.</summary>
static class FuzzRun
{
    const int MostFindings = 20;

    /// <param name="Number">Of the input: parser, seed and number make it again.</param>
    public sealed record Finding(long Number, string What, byte[] Bytes);

    /// <param name="Inputs">That were tried: fewer than asked for after too many findings, or when the time was
    /// over.</param>
    /// <param name="Accepted">That were read.</param>
    /// <param name="Refusals">Different messages, numbers and names left out.</param>
    public sealed record Result(string Parser, long Inputs, long Accepted, int Refusals,
        IReadOnlyList<Finding> Findings, TimeSpan Time);

    /// <param name="first">Number of the first input.</param>
    /// <param name="last">Stops here at the latest.</param>
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

    /// <summary>Ends the program where one input takes longer than ten seconds: what hangs never comes back to be
    /// judged.</summary>
    static void Watch(string parser, long seed, ref long number)
    {
        var now = Volatile.Read(ref number);
        if (Interlocked.Exchange(ref watched, now) == now && now != 0)
            Environment.FailFast($"{parser}, seed {seed}, input {now} hangs");
    }
}
