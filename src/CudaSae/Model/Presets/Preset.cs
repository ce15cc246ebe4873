using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>A published recipe by name: its architecture, losses and schedules. Rates and lengths are those that suit the run's own length; <see cref="Published"/> says what the publication took.</summary>
/// <param name="Name">As in --preset.</param>
/// <param name="Paper">Where it comes from.</param>
/// <param name="Formula">Code and loss in one line.</param>
/// <param name="Published">The publication's own numbers where they differ, because its runs were of another length.</param>
/// <param name="Spec">From input width, latents, and the active latents a row that are wanted, where the method has a say in them.</param>
/// <param name="Config">From the run's rows to the rest of its numbers.</param>
public sealed record Preset(string Name, string Paper, string Formula, string Published, Func<int, int, int, SaeSpec> Spec, Func<TrainConfig, TrainConfig> Config)
{
    /// <summary>Presets that need two files: an input and a target, or several sites.</summary>
    public bool NeedsTarget { get; init; }

    /// <summary>The one of this name, the case of letters not counted.</summary>
    /// <exception cref="SaeException">There is none; lists those there are.</exception>
    public static Preset Named(string name) => All.FirstOrDefault(p => Names.Same(p.Name, name))
        ?? throw new SaeException($"there is no preset '{name}'{Names.Hint(name, All.Select(p => p.Name))}; cudasae "
            + $"presets lists them: {string.Join(", ", All.Select(p => p.Name))}");

    public static IReadOnlyList<Preset> All { get; } = [.. ReluPresets.All, .. ThresholdPresets.All, .. TopKPresets.All, .. TargetPresets.All];

    /// <summary><see cref="Spec"/> of numbers that were looked at first: recipes divide by them and make other fields of them.</summary>
    /// <exception cref="SaeException">K is out of range.</exception>
    public SaeSpec SpecFor(int inputWidth, int latents, int k) => k >= 1 && k <= Math.Min(latents, SaeSpec.MaxActive) ? Spec(inputWidth, latents, k)
        : throw new SaeException($"K = {k} is out of range: it must be 1 to {(latents < SaeSpec.MaxActive ? $"Latents = {latents}" : $"{SaeSpec.MaxActive}")}");

    /// <summary>The same spec, whose latents are dead after so many rows without firing.</summary>
    /// <param name="rows">0 for the rule: the resampling's window where nothing else revives dead latents, else a
    /// sixtieth of the run, at most ten million.</param>
    internal static SaeSpec WithDeadAfter(SaeSpec spec, TrainConfig config, long rows = 0)
    {
        var after = rows > 0 ? rows : DeadAfter(config);
        return spec with
        {
            DeadAfterTokens = rows == 0 && config.Resampling is not null ? 0 : after,
            Aux = spec.Aux is { } aux ? aux with { DeadAfterTokens = after } : null,
            Ghost = spec.Ghost is { } ghost ? ghost with { DeadAfterTokens = after } : null,
            PreAct = spec.PreAct is { } preAct ? preAct with { DeadAfterTokens = after } : null,
        };
    }

    /// <summary>A latent is dead after a sixtieth of the run, at most ten million rows.</summary>
    internal static long DeadAfter(TrainConfig config) => Math.Clamp(config.Vectors / 60, 1, 10_000_000);

    /// <summary>Rooms for a row's entries: 16 times an L0 of 32.</summary>
    internal const int Room = 512;

    internal static int RoomFor(int latents) => Math.Min(Room, latents);

    /// <summary>Matryoshka's widths: halves of halves, from a thirty-second of the latents on.</summary>
    internal static int[] PrefixesOf(int latents) => [.. new[] { 32, 16, 8, 4, 2 }.Select(part => latents / part).Where(w => w > 0 && w < latents).Distinct()];
}
