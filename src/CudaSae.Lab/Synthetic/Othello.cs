namespace CudaSae.Lab.Synthetic;

/// <summary>A position of Othello: 64 squares, row by row, as bits. The player to move is "mine", so that labels are
/// those of Nanda et al. (2023) and Karvonen et al. (2024, arXiv 2408.00113): empty, mine, theirs.</summary>
/// <param name="Mine">Discs of the player to move.</param>
/// <param name="Theirs">Discs of the other.</param>
readonly record struct Othello(ulong Mine, ulong Theirs)
{
    public const int Side = 8, Squares = 64;

    static readonly (int Row, int Column)[] Directions = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0),
        (1, 1)];

    /// <summary>Black is to move; white has d4 and e5.</summary>
    public static Othello Start { get; } = new(Bit(3, 4) | Bit(4, 3), Bit(3, 3) | Bit(4, 4));

    /// <summary>Squares that the player to move may play, as bits: those that turn a disc.</summary>
    public ulong Legal
    {
        get
        {
            ulong legal = 0;
            for (var square = 0; square < Squares; square++)
                if (Turned(square) != 0) legal |= 1UL << square;
            return legal;
        }
    }

    /// <summary>The position after a legal move, seen by the other player.</summary>
    public Othello Play(int square)
    {
        var turned = Turned(square);
        if (turned == 0) throw new ArgumentException($"square {square} turns no disc");
        return new(Theirs & ~turned, Mine | turned | 1UL << square);
    }

    /// <summary>The other player's turn without a move, which the rules allow only to whom has none.</summary>
    public Othello Pass() => new(Theirs, Mine);

    /// <summary>0 empty, 1 mine, 2 theirs.</summary>
    public sbyte this[int square] => (sbyte)((Mine >> square & 1) + 2 * (Theirs >> square & 1));

    /// <summary>Discs that a move would turn; 0 where it is not legal.</summary>
    ulong Turned(int square)
    {
        if (((Mine | Theirs) >> square & 1) != 0) return 0;
        ulong turned = 0;
        foreach (var (down, right) in Directions)
        {
            ulong line = 0;
            int row = square / Side + down, column = square % Side + right;
            for (; row is >= 0 and < Side && column is >= 0 and < Side && (Theirs & Bit(row, column)) != 0; row += down,
                column += right)
                line |= Bit(row, column);
            if (row is >= 0 and < Side && column is >= 0 and < Side && (Mine & Bit(row, column)) != 0) turned |= line;
        }
        return turned;
    }

    static ulong Bit(int row, int column) => 1UL << row * Side + column;
}
