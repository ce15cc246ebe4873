namespace CudaSae.Lab.Insight.Contexts;

/// <summary>A list of texts by id.</summary>
sealed class PieceList(IReadOnlyList<string> pieces) : ITokenPieces
{
    public string? Piece(int id) => (uint)id < (uint)pieces.Count ? pieces[id] : null;
}
