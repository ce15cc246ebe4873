namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Where the texts of rows come from, and where sequences begin, if no .jsonl beside the data says
/// both.</summary>
sealed record TextOptions
{
    /// <summary>Texts of the store's token ids; null to show ids.</summary>
    public ITokenPieces? Pieces { get; init; }

    /// <summary>The id with which every sequence begins; null where none does.</summary>
    public int? BosId { get; init; }

    /// <summary>Rows of each sequence; 0 where they differ.</summary>
    public int ContextLength { get; init; }
}
