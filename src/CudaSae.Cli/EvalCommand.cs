using System.CommandLine;
using CudaSae.Formats;
using CudaSae.Runs;

namespace CudaSae.Cli;

/// <summary>The command cudasae eval measures a saved SAE on held-out rows.</summary>
static class EvalCommand
{
    public static Command Create()
    {
        var run = new Argument<string?>("run")
        {
            Description = "file or folder of an SAE, of any layout that convert reads", Arity = ArgumentArity.ZeroOrOne
        };
        var data = new Argument<string[]>("data")
        {
            Description = "activation files; none for the held-out rows of the run, or the shipped ones",
            Arity = ArgumentArity.ZeroOrMore
        };
        var tensor = DataOptions.Tensor();
        var beside = Beside.Option();
        var backend = Settings.NewBackend("where to compute; auto takes a GPU if there is one");
        var downstream = new DownstreamCommand();
        const string about =
            "Measure FVU, L0 and silent latents of an SAE; with --model, the loss of its network when the SAE is "
                + "spliced in.";
        var command = new Command("eval", about) { run, data, tensor, beside, backend };
        var kind = new KindOption();
        downstream.AddTo(command);
        kind.AddTo(command);
        command.SetAction(parsed =>
        {
            if (downstream.IsAsked(parsed))
            {
                if (parsed.GetValue(data) is { Length: > 0 } || parsed.GetValue(beside) is { Length: > 0 })
                    throw new SaeException("with --model the activations come from the network; "
                        + "leave the activation files out");
                return downstream.Run(parsed, parsed.GetValue(run), parsed.GetValue(backend), kind.Of(parsed));
            }
            var folder = parsed.GetValue(run)
                ?? throw new SaeException("no SAE is named; name its file or folder");
            var model = SaeModel.Load(folder, kind.Of(parsed));
            using var rows = SaeRows.Open(folder, SaeRows.RecordOf(folder), parsed.GetValue(data) ?? [],
                parsed.GetValue(tensor), model.Spec, parsed.GetValue(beside), shipped: true);
            using var sae = new Sae(model, parsed.GetValue(backend), SaeRows.BatchRows(rows.Rows.Count));
            StyledText.Line($"[bold]{sae.Description}[/]");
            foreach (var note in model.Notes) Console.WriteLine(note);
            EvaluationTable.Print(Evaluator.Run(sae, rows.Rows), sae.Spec);
            return 0;
        });
        return command;
    }
}
