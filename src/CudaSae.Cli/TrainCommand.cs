using System.CommandLine;
using System.Globalization;

namespace CudaSae.Cli;

/// <summary>The command cudasae train trains an SAE on data, saves it, and measures it on held-out rows.</summary>
static class TrainCommand
{
    public static Command Create()
    {
        var settings = new Settings();
        var data = new Argument<string[]>("data")
        {
            Description =
                ".npy, .safetensors, .pt or .arrow files, or folders of them, as SAELens, OpenMOSS or saev write them; "
                    + "none for the shipped data",
            Arity = ArgumentArity.ZeroOrMore
        };
        var tensor = DataOptions.Tensor();
        var beside = new Option<string[]>("--beside")
        {
            Description =
                "file or folder with the same rows of another site: the target of a transcoder or a site of a "
                    + "crosscoder; repeatable"
        };
        var heldOut = DataOptions.HeldOut();
        var output = new Option<string?>("--out")
        {
            Description = "folder of the run; a new folder in runs if not given",
        };
        var resume = new Option<string?>("--resume")
        {
            Description =
                "folder of a run to resume with the settings it began with; settings that are given beside it are "
                    + "applied or refused; data that are given beside it name the new place of the same rows",
        };
        var ifAny = ResumeIfAny.Option();
        var watch = WatchOption();
        var tensorBoard = Options.Flag("--tensorboard", "also write TensorBoard's event files");
        var verbose = Options.Flag("--verbose", "print every setting before the first step");
        var density = Options.New("--density-every",
            "steps between two records of every latent's density, for the report; 0 for none; give it again with "
                + "--resume",
            0, 0, int.MaxValue);
        var ranks = new RankOptions();
        var command = new Command("train",
            "Train an SAE. Without arguments, it trains a TopK SAE of 4096 latents on the shipped data in half a "
                + "minute.") { data,
                beside, tensor, heldOut, output, resume, ifAny, watch,
            tensorBoard, density, verbose };
        ranks.AddTo(command);
        settings.AddTo(command);
        string? Known(ParseResult parsed) =>
            parsed.GetValue(resume) ?? (parsed.GetValue(ifAny) ? parsed.GetValue(output) : null);
        command.SetAction(parsed => ranks.Run(parsed, settings.Backend, Known(parsed), all =>
        {
            int? port = parsed.GetResult(watch) is { Implicit: false } ? parsed.GetValue(watch) ?? 0 : null;
            var (every, events) = (parsed.GetValue(density), parsed.GetValue(tensorBoard));
            if (parsed.GetValue(ifAny)
                && ResumeIfAny.Find(parsed, settings, parsed.GetValue(output), parsed.GetValue(resume), all) is { } any)
            {
                using var same = any.Open(all, new(parsed.GetValue(data) ?? [], parsed.GetValue(beside) ?? [],
                    parsed.GetValue(heldOut), parsed.GetValue(tensor)));
                return same?.WithDensity(every).Run(port, events, parsed.GetValue(verbose)) ?? 0;
            }
            if (parsed.GetValue(resume) is { } folder)
            {
                var moved = MovedData.Of(parsed.GetValue(data), parsed.GetValue(beside), parsed.GetValue(heldOut));
                using var old = ResumeOptions.Open(parsed, folder, settings, all, moved,
                    [resume, ifAny, watch, tensorBoard, density, verbose, beside, heldOut, .. ranks.All]);
                return old.WithDensity(every).Run(port, events, parsed.GetValue(verbose));
            }
            using var files = DataOptions.OpenOrShipped(parsed.GetValue(data) ?? [], parsed.GetValue(heldOut),
                parsed.GetValue(tensor), parsed.GetValue(beside));
            var (spec, config) = settings.Records(parsed, files.Widths);
            using var session = Session.Start(files, spec, config, parsed.GetValue(settings.Backend),
                parsed.GetValue(output), new(settings.Preset(parsed).Name), all);
            return session.WithDensity(every).Run(port, events, parsed.GetValue(verbose));
        }));
        return command;
    }

    /// <summary>Creates the option --watch. Its value is the port, or 0 for a free one.</summary>
    static Option<int?> WatchOption() => new("--watch")
    {
        Description = "serve the live report on this port of 127.0.0.1; without a port, on a free one",
        HelpName = "port",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = result =>
        {
            if (result.Tokens.Count == 0) return 0;
            if (ushort.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var port))
                return port;
            result.AddError($"--watch {result.Tokens[0].Value}: a port is 1 to {ushort.MaxValue}, or none for a free "
                + "one; data stand before --watch");
            return null;
        },
    };
}
