namespace CudaSae.Lab.Insight.Contexts;

/// <summary>The sources of the texts of rows and of the starts of sequences, if no .jsonl beside the data has
/// both.</summary>
sealed record TextOptions
{
    /// <summary>The texts of the store's token ids; null to show ids.</summary>
    public ITokenPieces? Pieces { get; init; }

    /// <summary>The id with which every sequence begins; null if there is none.</summary>
    public int? BosId { get; init; }

    /// <summary>The number of rows of each sequence; 0 if it differs.</summary>
    public int ContextLength { get; init; }
}
