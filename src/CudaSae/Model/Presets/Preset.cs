using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>A published recipe by name: its architecture, losses and schedules. Learning rates and schedules suit the
/// length of the run; <see cref="Published"/> lists the publication's own numbers.</summary>
public sealed class Preset
{
    readonly Func<int, int, int, SaeSpec> spec;
    readonly Func<TrainConfig, TrainConfig> config;

    /// <param name="spec">Makes the architecture and losses from the input width, the latents and k.</param>
    /// <param name="config">Sets the fields of a run's configuration that the recipe determines.</param>
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

    /// <summary>The publication's own numbers where they differ, because its runs had another length.</summary>
    public string Published { get; }

    /// <summary>Presets that need two files: an input and a target, or several sites.</summary>
    public bool NeedsTarget { get; init; }

    /// <summary>The one of this name, the case of letters not counted.</summary>
    /// <exception cref="SaeException">There is none; lists those there are.</exception>
    public static Preset Named(string name) => All.FirstOrDefault(p => Names.Same(p.Name, name))
        ?? throw new SaeException($"there is no preset '{name}'{Names.Hint(name, All.Select(p => p.Name))}; cudasae "
            + $"presets lists them: {string.Join(", ", All.Select(p => p.Name))}");

    public static IReadOnlyList<Preset> All { get; } = [.. ReluPresets.All, .. ThresholdPresets.All, .. TopKPresets.All,
        .. TargetPresets.All];

    /// <summary>The specification and the configuration of a run of this recipe, as <c>cudasae train --preset</c> makes
    /// them. Dead latents are counted after a sixtieth of the run's rows, at most ten million.</summary>
    /// <param name="inputWidth">d.</param>
    /// <param name="latents">n.</param>
    /// <param name="k">Active latents a row, where the recipe has such a number.</param>
    /// <param name="run">BatchRows, Vectors and Seed of the run, and any other field that the recipe leaves as it is;
    /// the defaults if null.</param>
    /// <exception cref="SaeException">A number is out of range.</exception>
    public (SaeSpec Spec, TrainConfig Config) Make(int inputWidth, int latents, int k, TrainConfig? run = null) =>
        Make(inputWidth, latents, k, run ?? new(), null);

    /// <param name="edit">Changes the recipe's configuration before the rule for dead latents reads it.</param>
    /// <param name="deadAfter">Rows without firing after which a latent is dead; 0 for the rule.</param>
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

    /// <summary>The configuration alone, for a run whose spec comes from a trained SAE.</summary>
    internal TrainConfig Configure(TrainConfig run, Func<TrainConfig, TrainConfig>? edit = null)
    {
        var made = config(run.Validate());
        return (edit is null ? made : edit(made)).Validate();
    }

    /// <summary>Rooms for a row's entries: 16 times an L0 of 32.</summary>
    internal const int Room = 512;

    internal static int RoomFor(int latents) => Math.Min(Room, latents);

    /// <summary>Matryoshka's widths: halves of halves, from a thirty-second of the latents on.</summary>
    internal static int[] PrefixesOf(int latents) =>
        [.. new[] { 32, 16, 8, 4, 2 }.Select(part => latents / part).Where(w => w > 0 && w < latents).Distinct()];
}
