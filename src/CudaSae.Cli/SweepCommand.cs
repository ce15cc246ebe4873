using System.CommandLine;

namespace CudaSae.Cli;

/// <summary>The command cudasae sweep trains a grid of SAEs in one pass over the data.</summary>
static class SweepCommand
{
    public static Command Create()
    {
        var grid = new SweepGrid();
        var data = new Argument<string[]>("data")
        {
            Description = "activation files, as for train; none for the shipped ones", Arity = ArgumentArity.ZeroOrMore
        };
        var tensor = DataOptions.Tensor();
        var beside = new Option<string[]>("--beside")
        {
            Description = "file or folder with the same rows of another site; repeatable"
        };
        var heldOut = DataOptions.HeldOut();
        var output = new Option<string?>("--out")
        {
            Description = "folder of the sweep, with one folder for each member; "
                + "a new one below sweeps, named by date and time, if not given",
        };
        var resume = new Option<string?>("--resume")
        {
            Description = "folder of an interrupted sweep to resume; finished members are not trained again; "
                + "data given beside it name the new place of the same rows",
        };
        var together = Options.New("--together", "most SAEs that share each batch; 0 for as many as memory holds", 0,
            0, int.MaxValue);
        var command = new Command("sweep",
            "Train a grid of SAEs that share each batch, and plot FVU against L0.") { data, tensor, beside, heldOut,
                output, resume, together };
        grid.AddTo(command);
        command.SetAction(parsed =>
        {
            int? most = Settings.Given(parsed, together) ? parsed.GetValue(together) : null;
            if (parsed.GetValue(resume) is { } folder)
            {
                RefuseOthers(parsed, resume, together, beside, heldOut);
                var moved = MovedData.Of(parsed.GetValue(data), parsed.GetValue(beside), parsed.GetValue(heldOut));
                using var old = SweepSession.Resume(folder, most, moved);
                return old.Run();
            }
            using var files = DataOptions.OpenOrShipped(parsed.GetValue(data) ?? [], parsed.GetValue(heldOut),
                parsed.GetValue(tensor), parsed.GetValue(beside));
            var (members, refused) = grid.Members(parsed, files.Widths);
            using var sweep = SweepSession.Start(files, members, refused, parsed.GetValue(grid.Backend), most ?? 0,
                parsed.GetValue(output));
            return sweep.Run();
        });
        return command;
    }

    static void RefuseOthers(ParseResult parsed, params ReadOnlySpan<Option> free)
    {
        foreach (var option in parsed.CommandResult.Command.Options)
            if (!free.Contains(option) && Settings.Given(parsed, option))
                throw new SaeException($"{option.Name} cannot be changed when a sweep is resumed: sweep.json lists "
                    + "its members; leave it out, or start a new sweep");
    }
}
