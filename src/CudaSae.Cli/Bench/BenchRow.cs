using CudaSae.Numerics;

namespace CudaSae.Cli;

/// <summary>B, d, n, k and how many latents are dead.</summary>
sealed record BenchShape(int Rows, int Width, int Latents, int Active, int Dead = 0)
{
    public override string ToString() =>
        $"B {Rows}, d {Width}{(Latents > 0 ? $", n {Latents}, k {Active}" : "")}{(Dead > 0 ? $", {Dead} dead" : "")}";
}

/// <summary>Milliseconds of repeated runs.</summary>
readonly record struct Timing(double Median, double Min, double Max, int Repeats)
{
    public static Timing Of(IReadOnlyList<double> ms) => new(Doubles.Median(ms), ms.Min(), ms.Max(), ms.Count);
}

/// <summary>One measured line: of any benchmark, kernel or phase.</summary>
sealed record BenchRow
{
    /// <summary>step or kernels; data, sweep or ladder of cudasae-bench.</summary>
    public required string Bench { get; init; }
    public required string Name { get; init; }
    public required BenchShape Shape { get; init; }

    /// <summary>Null where no time exists, as on the emulator.</summary>
    public Timing? Time { get; init; }

    /// <summary>Operations and bytes that are counted, by the formulas of docs/internals/benchmarks.md: not what the
    /// hardware did, but what the task needs.</summary>
    public double Flops { get; init; }
    public double Bytes { get; init; }

    /// <summary>Milliseconds at the machine's ceilings; null without them.</summary>
    public double? FloorMs { get; init; }

    /// <summary>Rows of activations for each run; 0 where that says nothing.</summary>
    public double Tokens { get; init; }

    /// <summary>Largest relative error against float64; null where none was computed.</summary>
    public double? MaxError { get; init; }

    /// <summary>FNV-1a of the output's bits, and of a second run's; null where there is none.</summary>
    public (ulong First, ulong Second)? Checksum { get; init; }

    /// <summary>Memory that was planned and that was taken, bytes.</summary>
    public (long Planned, long Taken)? Memory { get; init; }
    public string Note { get; init; } = "";

    public double? TeraflopsPerSecond => Time is { } t && Flops > 0 ? Flops / t.Median / 1e9 : null;
    public double? GigabytesPerSecond => Time is { } t && Bytes > 0 ? Bytes / t.Median / 1e6 : null;
    public double? TokensPerSecond => Time is { } t && Tokens > 0 ? Tokens / t.Median * 1e3 : null;
    public double? PercentOfCeiling => Time is { } t && FloorMs is { } floor ? 100 * floor / t.Median : null;

    /// <summary>Whether two runs gave the same bits.</summary>
    public bool? Repeatable => Checksum is { } c ? c.First == c.Second : null;
}

/// <summary>Where and when rows were measured.</summary>
/// <param name="Backend">cpu, cuda or emulator.</param>
/// <param name="Driver">Of a GPU; the runtime's version on a CPU.</param>
/// <param name="Ceilings">This machine's own, measured in the same call; null where no time exists.</param>
sealed record BenchMachine(string Backend, string Device, string Driver, string Version, DateOnly Date,
    Ceilings? Ceilings);
