using CudaSae.Activations;

namespace CudaSae.Training.Checkpoints;

/// <summary>Identifies the rows of a run.</summary>
/// <param name="Train">Fingerprint of the training rows.</param>
/// <param name="Held">Fingerprint of the held-out rows; null if no rows are held out.</param>
sealed record RunFingerprint(DataFingerprint Train, DataFingerprint? Held)
{
    /// <summary>Describes in one clause how other rows differ from these; null if they are the same.</summary>
    public string? Difference(RunFingerprint now) =>
        Train.Difference(now.Train) is { } train ? $"the training rows have changed ({train})"
        : Held is null || now.Held is null ? null
        : Held.Difference(now.Held) is { } held ? $"the held-out rows have changed ({held})" : null;
}
