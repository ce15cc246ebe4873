namespace CudaSae.Model;

/// <summary>The rule for the number of rows without firing after which a latent is dead.</summary>
static class DeadAfter
{
    /// <summary>Placeholder in the losses of a recipe until <see cref="Preset.Make(int, int, int, TrainConfig)"/> sets
    /// the number that follows from the run's length.</summary>
    public const long Unset = 1;

    /// <summary>Returns a sixtieth of the run's rows, at most ten million.</summary>
    public static long Rows(TrainConfig config) => Math.Clamp(config.Vectors / 60, 1, 10_000_000);

    /// <summary>Sets the number of rows in the spec and in each of its losses that revives dead latents.</summary>
    /// <param name="rows">0 applies the rule: the window of resampling if only resampling revives dead latents,
    /// otherwise <see cref="Rows"/>.</param>
    public static SaeSpec Set(SaeSpec spec, TrainConfig config, long rows = 0)
    {
        var after = rows > 0 ? rows : Rows(config);
        return spec with
        {
            DeadAfterTokens = rows == 0 && config.Resampling is not null ? 0 : after,
            Aux = spec.Aux is { } aux ? aux with { DeadAfterTokens = after } : null,
            Ghost = spec.Ghost is { } ghost ? ghost with { DeadAfterTokens = after } : null,
            PreAct = spec.PreAct is { } preAct ? preAct with { DeadAfterTokens = after } : null,
        };
    }

    /// <summary>Returns a spec with the numbers of rows of another.</summary>
    public static SaeSpec Like(SaeSpec spec, SaeSpec other) => spec with
    {
        DeadAfterTokens = other.DeadAfterTokens,
        Aux = spec.Aux is { } aux && other.Aux is { } like ? aux with { DeadAfterTokens = like.DeadAfterTokens }
            : spec.Aux,
        Ghost = spec.Ghost is { } ghost && other.Ghost is { } other1
            ? ghost with { DeadAfterTokens = other1.DeadAfterTokens } : spec.Ghost,
        PreAct = spec.PreAct is { } preAct && other.PreAct is { } other2
            ? preAct with { DeadAfterTokens = other2.DeadAfterTokens } : spec.PreAct,
    };
}
