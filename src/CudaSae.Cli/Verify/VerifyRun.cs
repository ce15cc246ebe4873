using CudaSae.Backends;
using CudaSae.Devices;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>Runs cases one after another and reports each. An error ends only its case, unless it ends the process's
/// context. On several ranks an error after the begin of a case ends the command on all of them.</summary>
/// <param name="runs">Each case on each of its targets.</param>
/// <param name="keep">Receives the progress before each case and at the end, so that it survives the process.</param>
/// <param name="ranks">The ranks, which all run the same cases; null for one process.</param>
sealed class VerifyRun(IReadOnlyList<(VerifyTarget Target, VerifyCase Case)> runs, Action<VerifyProgress> keep,
    ICollective? ranks = null)
{
    readonly bool lines = Console.IsOutputRedirected || ranks is not null;      // rather than a table at the end
    readonly Table table = new Table().AddColumns("target", "case", "worst quantity")
        .AddColumn(new TableColumn("difference").RightAligned())
        .AddColumn(new TableColumn("allowed").RightAligned()).AddColumn("");

    /// <returns>The progress, and whether cases remain that need another process because the context is lost.</returns>
    public (VerifyProgress Progress, bool Lost) From(VerifyProgress progress)
    {
        var lost = false;
        while (progress.Next < runs.Count && !lost)
        {
            keep(progress);
            (progress, lost) = Run(progress);
        }
        keep(progress);
        if (!lines) AnsiConsole.Write(table);
        return (progress, lost && progress.Next < runs.Count);
    }

    (VerifyProgress Progress, bool Lost) Run(VerifyProgress progress)
    {
        var (target, c) = runs[progress.Next];
        progress = progress with { Next = progress.Next + 1 };
        ranks?.AtStep(progress.Next);
        var made = false;
        // In lines the name comes before the result, so that a kernel that hangs leaves the name.
        if (lines) Console.Write($"{target.Name}: {c.Name}: ");
        try
        {
            var results = new Verifier((spec, config, type) =>
            {
                var backend = Make(() => target.Create(spec, config, type));
                made = true;
                return backend;
            }, target.Rounding).Run(c);
            Report(target.Name, c.Name, results.MaxBy(Share));
            return (progress with { Differing = progress.Differing + results.Count(r => !r.Passed) }, false);
        }
        catch (Exception e) when (e is not OutOfMemoryException && (ranks is null || !made))
        {
            Report(target.Name, c.Name, e);
            return (progress with { Failed = progress.Failed + 1 }, e is CudaException { EndsContext: true });
        }
    }

    /// <summary>Makes a backend on all ranks, or on none.</summary>
    IBackend Make(Func<IBackend> create)
    {
        IBackend? backend = null;
        try
        {
            RankAgreement.Do(ranks, () => backend = create());
            return backend!;
        }
        catch
        {
            backend?.Dispose();
            throw;
        }
    }

    static double Share(VerifyResult r) =>
        double.IsNaN(r.Difference) ? double.PositiveInfinity : r.Difference / r.Tolerance;

    void Report(string target, string name, VerifyResult worst)
    {
        var (difference, allowed) = ($"{worst.Difference:0.0e+0}", $"{worst.Tolerance:0.0e+0}");
        var verdict = worst.Passed ? "ok" : "MISMATCH";
        if (!lines) table.AddRow(target, name, worst.Quantity, difference, allowed, verdict);
        else Console.WriteLine($"{verdict}, {worst.Quantity} differs by {difference} of {allowed}");
    }

    void Report(string target, string name, Exception e)
    {
        var message = e is SaeException ? e.Message : $"{e.GetType().Name}: {e.Message}";
        if (lines) Console.WriteLine($"ERROR, {message}");
        else table.AddRow(Markup.Escape(target), Markup.Escape(name), Markup.Escape(message), "", "", "ERROR");
    }
}
