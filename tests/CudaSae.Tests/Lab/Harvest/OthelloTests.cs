using System.Numerics;
using CudaSae.Lab.Insight.Probes;
using CudaSae.Lab.Synthetic;

namespace CudaSae.Tests;

public class OthelloTests
{
    static long Leaves(Othello board, int depth)
    {
        if (depth == 0) return 1;
        var legal = board.Legal;
        if (legal == 0) return board.Pass().Legal == 0 ? 1 : Leaves(board.Pass(), depth - 1);
        long leaves = 0;
        for (; legal != 0; legal &= legal - 1)
            leaves += Leaves(board.Play(BitOperations.TrailingZeroCount(legal)), depth - 1);
        return leaves;
    }

    /// <summary>The published numbers of move sequences, which the rules determine.</summary>
    [Fact]
    public void TheNumberOfGamesMatchesThePublishedOne() =>
        Assert.Equal([4, 12, 56, 244, 1396, 8200, 55092],
            Enumerable.Range(1, 7).Select(depth => Leaves(Othello.Start, depth)));

    [Fact]
    public void FilesHoldTheGames()
    {
        using var folder = new TemporaryFolder();
        var rows = OthelloGames.Write(folder["o"], 5, 3);
        Assert.InRange(rows, 5 * 50, 5 * 60);
        using var history = ActivationSource.Open([folder["o/history.npy"]]);
        using var legal = ActivationSource.Open([folder["o/legal.npy"]]);
        var board = NpyLabels.Read(folder["o/board.npy"], rows);
        Assert.Equal((rows, 192, rows, 64, (8, 8)),
            (history.Rows, history.Width, legal.Rows, legal.Width, board.Grid!.Value));
        var (seen, may, i) = (new float[192], new float[64], 0);
        for (var game = 0; game < 5; game++)
            OthelloGames.Play(3, game, (position, moves) =>
            {
                history.ReadRow(i, seen);
                legal.ReadRow(i, may);
                for (var square = 0; square < 64; square++)
                {
                    Assert.Equal((short)(position.Mine >> square & 1) + 2 * (short)(position.Theirs >> square & 1),
                        board[square][i]);
                    Assert.Equal((position.Legal >> square & 1) != 0, may[square] == 1);
                    var played = seen[square] + seen[64 + square];
                    Assert.Equal(board[square][i] != 0 && square is not (27 or 28 or 35 or 36), played == 1);
                    Assert.Equal(played == 1, seen[128 + square] > 0);
                }
                if (moves.Count > 0) Assert.False(moves[^1].Mine && moves.Count == 1);
                i++;
            });
        Assert.Equal(rows, i);
        AssertOneLine("0 games", () => OthelloGames.Write(folder["n"], 0, 1));
    }
}
