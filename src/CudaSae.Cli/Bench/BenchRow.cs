using CudaSae.Numerics;

namespace CudaSae.Cli;

/// <summary>B, d, n, k and the number of dead latents.</summary>
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

/// <summary>One measured line of any benchmark, kernel or phase.</summary>
sealed record BenchRow
{
    /// <summary>The benchmark: step or kernels, or data, sweep or ladder of cudasae-bench.</summary>
    public required string Bench { get; init; }
    public required string Name { get; init; }
    public required BenchShape Shape { get; init; }

    /// <summary>The times; null if no time exists, as on the emulator.</summary>
    public Timing? Time { get; init; }

    /// <summary>Operations and bytes by the formulas of docs/internals/benchmarks.md. They count what the task needs,
    /// not what the hardware did.</summary>
    public double Flops { get; init; }
    public double Bytes { get; init; }

    /// <summary>Milliseconds at the machine's ceilings; null if those are unknown.</summary>
    public double? FloorMs { get; init; }

    /// <summary>Rows of activations in each run; 0 if the benchmark has none.</summary>
    public double Tokens { get; init; }

    /// <summary>Largest relative error against float64; null if none was computed.</summary>
    public double? MaxError { get; init; }

    /// <summary>FNV-1a hash of the output's bits and of those of a second run; null if there is none.</summary>
    public (ulong First, ulong Second)? Checksum { get; init; }

    /// <summary>Planned and taken memory in bytes.</summary>
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
/// <param name="Driver">Driver version of a GPU; the runtime's version on a CPU.</param>
/// <param name="Ceilings">Ceilings of this machine, measured in the same call; null if no time exists.</param>
sealed record BenchMachine(string Backend, string Device, string Driver, string Version, DateOnly Date,
    Ceilings? Ceilings);
