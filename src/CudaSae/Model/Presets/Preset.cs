using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>A published recipe by name: its architecture, losses and schedules. Learning rates and schedules are
/// adapted to the length of the run; <see cref="Published"/> lists the numbers of the publication.</summary>
public sealed class Preset
{
    readonly Func<int, int, int, SaeSpec> spec;
    readonly Func<TrainConfig, TrainConfig> config;

    /// <summary>Defines a recipe.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="paper">Its source.</param>
    /// <param name="formula">Code and loss in one line.</param>
    /// <param name="published">The publication's numbers that differ.</param>
    /// <param name="spec">Makes the architecture and losses from the input width, the latents and k.</param>
    /// <param name="config">Sets the fields of a run's configuration that the recipe defines.</param>
    internal Preset(string name, string paper, string formula, string published,
        Func<int, int, int, SaeSpec> spec, Func<TrainConfig, TrainConfig> config)
    {
        (Name, Paper, Formula, Published) = (name, paper, formula, published);
        (this.spec, this.config) = (spec, config);
    }

    /// <summary>The name that --preset takes.</summary>
    public string Name { get; }

    /// <summary>The publication or program that the recipe comes from.</summary>
    public string Paper { get; }

    /// <summary>Code and loss in one line.</summary>
    public string Formula { get; }

    /// <summary>Numbers of the publication that differ because its runs had another length.</summary>
    public string Published { get; }

    /// <summary>Whether the recipe needs two files: an input and a target, or several sites.</summary>
    public bool NeedsTarget { get; init; }

    /// <summary>Returns the preset of a name, in any case of letters.</summary>
    /// <param name="name">One of the names in <see cref="All"/>.</param>
    /// <exception cref="SaeException">The name is unknown; the message lists the known names.</exception>
    public static Preset Named(string name) => All.FirstOrDefault(p => Names.Same(p.Name, name))
        ?? throw new SaeException($"there is no preset '{name}'{Names.Hint(name, All.Select(p => p.Name))}; cudasae "
            + $"presets lists them: {string.Join(", ", All.Select(p => p.Name))}");

    /// <summary>All presets.</summary>
    public static IReadOnlyList<Preset> All { get; } = [.. ReluPresets.All, .. ThresholdPresets.All, .. TopKPresets.All,
        .. TargetPresets.All];

    /// <summary>Makes the specification and the configuration of a run of this recipe, as <c>cudasae train --preset</c>
    /// does. A latent counts as dead after a sixtieth of the run's rows without firing, at most ten million.</summary>
    /// <param name="inputWidth">d: width of the input.</param>
    /// <param name="latents">n: number of latents.</param>
    /// <param name="k">Active latents per row, for recipes that have such a number.</param>
    /// <param name="run">BatchRows, Vectors and Seed of the run, and any other field that the recipe does not set; null
    /// for the defaults.</param>
    /// <exception cref="SaeException">A number is out of range.</exception>
    public (SaeSpec Spec, TrainConfig Config) Make(int inputWidth, int latents, int k, TrainConfig? run = null) =>
        Make(inputWidth, latents, k, run ?? new(), null);

    /// <summary>Makes the specification and the configuration of a run, with changes.</summary>
    /// <param name="inputWidth">d.</param>
    /// <param name="latents">n.</param>
    /// <param name="k">Active latents per row.</param>
    /// <param name="run">Fields of the run.</param>
    /// <param name="edit">Changes the recipe's configuration before the rule for dead latents reads it.</param>
    /// <param name="deadAfter">Rows without firing after which a latent is dead; 0 applies the rule.</param>
    internal (SaeSpec Spec, TrainConfig Config) Make(int inputWidth, int latents, int k, TrainConfig run,
        Func<TrainConfig, TrainConfig>? edit, long deadAfter = 0)
    {
        // Recipes divide by k and size their losses by it, so it is checked first.
        if (k < 1 || k > Math.Min(latents, SaeSpec.MaxActive))
            throw new SaeException($"K = {k} is out of range: it must be 1 to "
                + (latents < SaeSpec.MaxActive ? $"Latents = {latents}" : $"{SaeSpec.MaxActive}"));
        var made = Configure(run, edit);
        return (DeadAfter.Set(spec(inputWidth, latents, k), made, deadAfter), made);
    }

    /// <summary>Makes the configuration only, for a run whose spec comes from a trained SAE.</summary>
    internal TrainConfig Configure(TrainConfig run, Func<TrainConfig, TrainConfig>? edit = null)
    {
        var made = config(run.Validate());
        return (edit is null ? made : edit(made)).Validate();
    }

    /// <summary>Capacity of a row of the sparse path, in entries: 16 times an L0 of 32.</summary>
    internal const int Room = 512;

    /// <summary>Returns the capacity of a row, at most the number of latents.</summary>
    internal static int RoomFor(int latents) => Math.Min(Room, latents);

    static readonly int[] PrefixParts = [32, 16, 8, 4, 2];

    /// <summary>Returns Matryoshka's widths, which double from 1/32 to 1/2 of the latents.</summary>
    internal static int[] PrefixesOf(int latents) =>
        [.. PrefixParts.Select(part => latents / part).Where(w => w > 0 && w < latents).Distinct()];
}
