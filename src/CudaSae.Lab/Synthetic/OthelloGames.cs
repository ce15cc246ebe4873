using System.Numerics;
using System.Runtime.InteropServices;
using CudaSae.Files;

namespace CudaSae.Lab.Synthetic;

/// <summary>Random legal games of Othello as rows: what a player to move has seen (every move so far, nothing of the
/// board), what may be played now, and the board itself as labels. A network that maps the first to the second has to
/// work the board out; whether its latents hold it is what the third is for.</summary>
static class OthelloGames
{
    /// <summary>Numbers of a history: of each square whether the player to move played there, whether the other did,
    /// and when, as the share of 60 moves that had been made by then (0 for never).</summary>
    public const int HistoryWidth = 3 * Othello.Squares;

    public const int MostGames = 1 << 20;

    const int Moves = Othello.Squares - 4;
    const ulong Stream = 0x07;

    /// <summary>Visits every position of a game in which there is a move to make, in order.</summary>
    /// <param name="game">Its number; with the seed it makes all moves.</param>
    /// <param name="visit">Takes the position and the moves so far: square and whether the player to move made
    /// it.</param>
    public static void Play(ulong seed, long game, Action<Othello, IReadOnlyList<(int Square, bool Mine)>> visit)
    {
        var (random, board, moves, passed) =
            (new Counter(seed, Stream), Othello.Start, new List<(int Square, bool Mine)>(), false);
        while (true)
        {
            var legal = board.Legal;
            if (legal == 0 && passed) return;
            if (passed = legal == 0) board = board.Pass();
            else
            {
                visit(board, moves);
                for (var skip = (int)(random.Uniform(game,
                    moves.Count) * BitOperations.PopCount(legal)); skip > 0; skip--)
                    legal &= legal - 1;
                var square = BitOperations.TrailingZeroCount(legal);
                board = board.Play(square);
                moves.Add((square, true));
            }
            for (var m = 0; m < moves.Count; m++) moves[m] = (moves[m].Square, !moves[m].Mine);
        }
    }

    /// <summary>Writes history.npy [rows, 192] float32, legal.npy [rows, 64] float32 of 0 and 1, and board.npy [rows,
    /// 8, 8] int8 (0 empty, 1 mine, 2 theirs).</summary>
    /// <returns>Rows.</returns>
    public static long Write(string folder, int games, ulong seed)
    {
        if (games is < 1 or > MostGames)
            throw new SaeException($"{games} games of Othello cannot be written; choose 1 to {MostGames}");
        long rows = 0;
        for (var game = 0; game < games; game++) Play(seed, game, (_, _) => rows++);
        WriteRows<float>("history.npy", "<f4", [rows, HistoryWidth], static (board, moves, row) =>
        {
            foreach (var (m, (square, mine)) in moves.Index())
                (row[square + (mine ? 0 : Othello.Squares)], row[square + 2 * Othello.Squares]) =
                    (1, (m + 1) / (float)Moves);
        });
        WriteRows<float>("legal.npy", "<f4", [rows, Othello.Squares], static (board, _, row) =>
        {
            var legal = board.Legal;
            for (var square = 0; square < row.Length; square++) row[square] = legal >> square & 1;
        });
        WriteRows<sbyte>("board.npy", "|i1", [rows, Othello.Side, Othello.Side], static (board, _, row) =>
        {
            for (var square = 0; square < row.Length; square++) row[square] = board[square];
        });
        return rows;

        void WriteRows<T>(string name, string descr, long[] shape,
            Action<Othello, IReadOnlyList<(int Square, bool Mine)>, T[]> fill)
            where T : unmanaged =>
            AtomicFile.Write(Path.Combine(folder, name), stream =>
        {
            stream.Write(NpyFile.MakeHeader(descr, shape));
            var row = new T[shape.Skip(1).Aggregate(1L, (a, b) => a * b)];
            for (var game = 0; game < games; game++)
                Play(seed, game, (board, moves) =>
                {
                    Array.Clear(row);
                    fill(board, moves, row);
                    stream.Write(MemoryMarshal.AsBytes<T>(row));
                });
        });
    }
}
