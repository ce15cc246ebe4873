using System.CommandLine;
using CudaSae.Lab.Synthetic;

namespace CudaSae.Cli;

/// <summary>The command cudasae othello writes random legal games, for probes of a board.</summary>
static class OthelloCommand
{
    public static Command Create()
    {
        var output = new Argument<string>("folder")
        {
            Description = "folder for history.npy, legal.npy and board.npy"
        };
        var games = Options.New("--games", "random legal games; each has about 60 rows", 2000, 1, int.MaxValue);
        var seed = Options.New("--seed", "seed of the moves", 1UL);
        var command = new Command("othello",
            "Write random games of Othello as rows and labels.") { output, games, seed };
        command.SetAction(parsed =>
        {
            var folder = parsed.GetValue(output)!;
            var rows = OthelloGames.Write(folder, parsed.GetValue(games), parsed.GetValue(seed));
            StyledText.Line($"{rows} positions of {parsed.GetValue(games)} games in [bold]{folder}[/]: history.npy, ",
                $"{OthelloGames.HistoryWidth} wide; legal.npy, {Othello.Squares}; board.npy, {Othello.Side} × ",
                $"{Othello.Side} (empty, mine, theirs)");
            return 0;
        });
        return command;
    }
}
