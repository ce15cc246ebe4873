using System.CommandLine;
using CudaSae.Formats;
using CudaSae.Runs;
using CudaSae.Training;

namespace CudaSae.Cli;

/// <summary>The command cudasae finetune trains a ReLU SAE again, for reconstruction alone.</summary>
static class FinetuneCommand
{
    public static Command Create()
    {
        var run = new Argument<string>("run") { Description = "folder of the SAE, written by train" };
        var data = new Argument<string[]>("data")
        {
            Description = "activation files; none for those of the run, or the shipped ones",
            Arity = ArgumentArity.ZeroOrMore
        };
        var kind =
            Options.New("--what",
            "decoder or decoder-and-scales (Wright and Sharkey 2024), or rescale-shift (the control of arXiv "
            + "2404.16014)",
            FinetuneKind.Decoder);
        var tensor = DataOptions.Tensor();
        var heldOut = DataOptions.HeldOut();
        var output = new Option<string?>("--out") { Description = "folder of the new run" };
        var ranks = new RankOptions();
        var settings = new Settings();
        var command = new Command("finetune",
            "Train the decoder or the magnitudes of a ReLU SAE again, without its penalty.") { run, data, kind, tensor,
                heldOut, output };
        var readAs = new KindOption();
        ranks.AddTo(command);
        settings.AddTo(command);
        readAs.AddTo(command);
        command.SetAction(parsed => ranks.Run(parsed, settings.Backend, null, all =>
        {
            var folder = parsed.GetValue(run)!;
            var sae = SaeModel.Load(folder, readAs.Of(parsed));
            if (sae.Normalization != InputNormalization.None)
                throw new SaeException($"{folder} holds an SAE of normalized rows ({sae.Summary}), which is not "
                    + "trained here");
            var (tuned, weights, trainable) = Finetuning.Prepare(sae.Spec, sae.Parameters, parsed.GetValue(kind));
            var (record, named, held) =
                (SaeRows.RecordOf(folder), parsed.GetValue(data) ?? [], parsed.GetValue(heldOut));
            using var files = named.Length == 0 && record is not null
                ? RunData.Reopen(folder, record, Console.WriteLine, held, parsed.GetValue(tensor))
                : DataOptions.OpenOrShipped(named, held, parsed.GetValue(tensor) ?? record?.Tensor, record?.Beside);
            var config = settings.Config(parsed) with
            {
                Trainable = trainable,
                Resampling = null,
                PruneBelow = 0,
                FoldDecoderNorms = false
            };
            using var session = Session.Start(files, settings.WithDeadAfter(parsed, tuned, config), config,
                parsed.GetValue(settings.Backend), parsed.GetValue(output), new(null, weights, folder), all);
            return session.Run();
        }));
        return command;
    }
}
