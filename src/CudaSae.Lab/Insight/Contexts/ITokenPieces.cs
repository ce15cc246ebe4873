namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Texts of a tokenizer's ids.</summary>
interface ITokenPieces
{
    /// <summary>The text of an id, leading space included; null for an id that the vocabulary does not have.</summary>
    string? Piece(int id);
}
