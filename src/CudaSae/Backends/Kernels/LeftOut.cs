using CudaSae.Text;

namespace CudaSae.Backends.Kernels;

/// <summary>What the kernels do without because the variable CUDASAE_WITHOUT names it, with commas between: to find
/// out, on a machine where nothing can be built, which technique fails there.
/// What is computed stays the same, but for the order of sums inside an instruction; only time is lost.</summary>
/// <param name="Programmatic">programmatic: kernels that take their place beside the one before them.</param>
/// <param name="Hopper">hopper: the kernels of kernels/sm90.</param>
/// <param name="Clusters">clusters: two blocks that share a tile of weights.</param>
/// <param name="Skew">skew: a block's second warpgroup a step or two behind the first.</param>
/// <param name="Graphs">graphs: steps that are recorded, and replayed.</param>
readonly record struct LeftOut(bool Programmatic, bool Hopper, bool Clusters, bool Skew, bool Graphs)
{
    const string Variable = "CUDASAE_WITHOUT";

    /// <summary>As the variable says now.</summary>
    /// <exception cref="SaeException">It names something else.</exception>
    public static LeftOut FromEnvironment() => Parse(Environment.GetEnvironmentVariable(Variable) ?? "");

    public static LeftOut Parse(string names)
    {
        var left = default(LeftOut);
        foreach (var name in names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            left = name.ToLowerInvariant() switch
            {
                "programmatic" => left with { Programmatic = true },
                "hopper" => left with { Hopper = true },
                "clusters" => left with { Clusters = true },
                "skew" => left with { Skew = true },
                "graphs" => left with { Graphs = true },
                _ => throw new SaeException($"{Variable} names {name}: programmatic, hopper, clusters, skew and "
                    + $"graphs can be left "
                    + $"out{Names.Hint(name, ["programmatic", "hopper", "clusters", "skew", "graphs"])}"),
            };
        return left;
    }
}
