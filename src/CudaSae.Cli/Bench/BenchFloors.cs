using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>Applies one pair of ceilings to all rows of a call: the best pair measured in the call, because the machine
/// can reach again what it reached once.</summary>
static class BenchFloors
{
    /// <summary>Returns the rows with floors from the best ceilings of their machines. The floor of a step is the sum
    /// over the rows of its phases, which must be among the rows; it stays unchanged if those have no floor.</summary>
    public static List<(BenchMachine Machine, BenchRow Row)> ByBestCeilings(
        IReadOnlyList<(BenchMachine Machine, BenchRow Row)> rows)
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
