using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>One pair of ceilings for all rows of a call: the best that was measured in it, since what a machine reached
/// once it can reach.</summary>
static class BenchFloors
{
    /// <summary>Rows with floors by the best ceilings among their machines; a step's floor is the sum over its phases'
    /// rows, which must be among them; where those are not counted it stays.</summary>
    public static List<(BenchMachine Machine, BenchRow Row)> ByBestCeilings(IReadOnlyList<(BenchMachine Machine, BenchRow Row)> rows)
    {
        var known = rows.Select(one => one.Machine.Ceilings).OfType<Ceilings>().ToArray();
        if (known.Length == 0) return [.. rows];
        var best = new Ceilings(known.Max(c => c.GemmGflops), known.Max(c => c.CopyGigabytes));
        return [.. rows.Select(one => (one.Machine with { Ceilings = best }, one.Row with
        {
            FloorMs = one.Row.FloorMs is null ? null : !IsStep(one.Row) ? Floor(one.Row, best)
                : rows.Where(other => other.Row.Shape == one.Row.Shape && !IsStep(other.Row)
                    && Axis(other.Row) == Axis(one.Row))
                    .Sum(other => Floor(other.Row, best)) is > 0
                    and var sum
                ? sum : one.Row.FloorMs,
        }))];
    }

    static double Floor(BenchRow row, Ceilings best) =>
        new PhaseCost(StepPhase.Encode, row.Flops, row.Bytes).FloorMs(best);
    static bool IsStep(BenchRow row) => row.Name == "step" || row.Name.EndsWith("/step", StringComparison.Ordinal);
    static string Axis(BenchRow row) => row.Name.Contains('/') ? row.Name.Split('/')[0] : "";
}
