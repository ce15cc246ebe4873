using CudaSae.Text;

namespace CudaSae.Backends.Kernels;

/// <summary>Kernel features disabled through the variable CUDASAE_WITHOUT, which lists them with commas. It serves to
/// find the feature that fails on a machine without a compiler. Results stay the same except for the order of sums
/// within an instruction; only the speed changes.</summary>
/// <param name="Programmatic">programmatic: kernels that start before their predecessor has ended.</param>
/// <param name="Hopper">hopper: the kernels of kernels/sm90.</param>
/// <param name="Clusters">clusters: two blocks that share a tile of weights.</param>
/// <param name="Skew">skew: the second warpgroup of a block follows one or two steps behind the first.</param>
/// <param name="Graphs">graphs: steps that are recorded and replayed.</param>
readonly record struct LeftOut(bool Programmatic, bool Hopper, bool Clusters, bool Skew, bool Graphs)
{
    const string Variable = "CUDASAE_WITHOUT";

    /// <summary>Reads the variable.</summary>
    /// <exception cref="SaeException">The variable names an unknown feature.</exception>
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
