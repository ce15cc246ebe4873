using CudaSae.Activations;

namespace CudaSae.Training.Checkpoints;

/// <summary>What the rows of a run are: those it trains on, and those held out.</summary>
/// <param name="Held">Null where no rows are held out.</param>
sealed record RunFingerprint(DataFingerprint Train, DataFingerprint? Held)
{
    /// <summary>How other rows differ from these, in one clause; null where they are the same.</summary>
    public string? Difference(RunFingerprint now) =>
        Train.Difference(now.Train) is { } train ? $"of the training rows, {train}"
        : Held is null || now.Held is null ? null
        : Held.Difference(now.Held) is { } held ? $"of the held-out rows, {held}" : null;
}
