namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Gives the texts of a tokenizer's ids.</summary>
interface ITokenPieces
{
    /// <summary>The text of an id, leading space included; null for an id that the vocabulary does not have.</summary>
    string? Piece(int id);
}
