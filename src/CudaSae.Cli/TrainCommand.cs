using System.CommandLine;
using System.Globalization;

namespace CudaSae.Cli;

/// <summary>cudasae train: data to a saved SAE, and its measures on held-out rows.</summary>
static class TrainCommand
{
    public static Command Create()
    {
        var settings = new Settings();
        var data = new Argument<string[]>("data") { Description = ".npy, .safetensors, .pt or .arrow files, or folders of them, also as SAELens, OpenMOSS or saev cached them; none for the shipped data", Arity = ArgumentArity.ZeroOrMore };
        var tensor = DataFiles.TensorOption();
        var beside = new Option<string[]>("--beside") { Description = "file or folder with the same rows of another site: a transcoder's target, or a crosscoder's further sites; repeatable" };
        var heldOut = HeldOutOption.New();
        var output = new Option<string?>("--out")
        {
            Description = "folder of the run; a new one below runs, named by date and time, if not given",
        };
        var resume = new Option<string?>("--resume")
        {
            Description = "folder of an interrupted run to resume, with the settings it began with; "
                + "those beside it are applied and logged, or refused with the reason; "
                + "data beside it say where the same rows are now",
        };
        var watch = WatchOption();
        var tensorBoard = Options.Flag("--tensorboard", "write TensorBoard's event files into the run's folder too");
        var density = Options.New("--density-every",
            "append every latent's density to density.bin every so many steps, for the report; 0 for never. Given "
                + "again at --resume. On kernels, counting waits for each step", 0, 0, int.MaxValue);
        var command = new Command("train", "Train an SAE. With no arguments: the shipped data, a TopK SAE of 4096 latents, a minute or two on two cores.") { data, beside, tensor, heldOut, output, resume, watch, tensorBoard, density };
        settings.AddTo(command);
        command.SetAction(parsed =>
        {
            int? port = parsed.GetResult(watch) is { Implicit: false } ? parsed.GetValue(watch) ?? 0 : null;
            var (every, events) = (parsed.GetValue(density), parsed.GetValue(tensorBoard));
            if (parsed.GetValue(resume) is { } folder)
            {
                var moved = MovedData.Of(parsed.GetValue(data), parsed.GetValue(beside), parsed.GetValue(heldOut));
                using var old = ResumeOptions.Open(parsed, folder, settings, moved,
                    resume, watch, tensorBoard, density, beside, heldOut);
                return old.WithDensity(every).Run(port, events);
            }
            using var files = DataFiles.OpenOrShipped(parsed.GetValue(data) ?? [], parsed.GetValue(heldOut), parsed.GetValue(tensor), parsed.GetValue(beside));
            var (spec, config) = settings.Records(parsed, files.Widths);
            using var session = Session.Start(files, spec, config, parsed.GetValue(settings.Backend),
                parsed.GetValue(output), preset: settings.Preset(parsed).Name);
            return session.WithDensity(every).Run(port, events);
        });
        return command;
    }

    /// <summary>0 for a free port.</summary>
    static Option<int?> WatchOption() => new("--watch")
    {
        Description = "show the run in a browser on this machine while it goes on: a port of 127.0.0.1, or none for a free one",
        HelpName = "port",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = result =>
        {
            if (result.Tokens.Count == 0) return 0;
            if (ushort.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var port)) return port;
            result.AddError($"--watch {result.Tokens[0].Value}: a port is 1 to {ushort.MaxValue}, or none for a free one; data stand before --watch");
            return null;
        },
    };
}
