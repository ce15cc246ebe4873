using System.Numerics;
using System.Runtime.InteropServices;
using CudaSae.Files;

namespace CudaSae.Lab.Synthetic;

/// <summary>Makes rows from random legal games of Othello: the history (every move so far, but not the board), the
/// legal moves, and the board as labels. A network that maps the history to the legal moves has to infer the board; the
/// labels show whether its latents represent it.</summary>
static class OthelloGames
{
    /// <summary>The width of a history. It has for each square whether the player to move played there, whether the
    /// other player did, and when, as the share of the 60 moves made by then (0 for never).</summary>
    public const int HistoryWidth = 3 * Othello.Squares;

    public const int MostGames = 1 << 20;

    const int Moves = Othello.Squares - 4;
    const ulong Stream = 0x07;

    /// <summary>Visits every position of a game with a legal move, in order.</summary>
    /// <param name="game">The number of the game, which with the seed determines all moves.</param>
    /// <param name="visit">Receives the position and the moves so far: the square, and whether the player to move made
    /// the move.</param>
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
    /// <returns>The number of rows.</returns>
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
