using System.CommandLine;
using CudaSae.Lab.Harvest;
using CudaSae.Numerics;

namespace CudaSae.Cli;

/// <summary>The command cudasae harvest use-lite | llama2 | classifier writes activations of a real network.</summary>
static class HarvestCommand
{
    public static Command Create() =>
        new("harvest",
            "Write the activations of a model on a text or on images.") { UseLite(), Llama2(),
                HarvestClassifierCommand.Create() };

    /// <summary>Options that both networks share.</summary>
    sealed class Common
    {
        public Option<string> Output { get; } = new("--out")
        {
            Description =
                ".npy to write; beside it go a .jsonl with the texts and tokens, a .tokens.npy with their ids, and a "
                    + ".site.json with the names of model and site",
            Required = true
        };
        public Option<string?> HeldOut { get; } = new("--held-out")
        {
            Description = "second .npy, from sequences that follow those of the first"
        };
        public Option<long> HeldRows { get; } =
            Options.New("--held-out-rows", "tokens of the second file", 2_048L, 1L, long.MaxValue);
        public Option<InputType> Type { get; } = Options.New("--type", "float16 or float32", InputType.Float16);

        public void AddTo(Command command)
        {
            foreach (var option in (Option[])[Output, HeldOut, HeldRows, Type]) command.Options.Add(option);
        }

        public int Write(ParseResult parsed, IHostModel model, string site, bool excludeBos,
            IEnumerable<TokenSequence> sequences, long rows)
        {
            if (parsed.GetValue(Type) is not (InputType.Float16 or InputType.Float32))
                throw new SaeException($"--type {parsed.GetValue(Type)}: .npy holds float16 or float32");
            var harvester = new Harvester(model, site, parsed.GetValue(Type), excludeBos);
            using var queue = new SequenceQueue(sequences);
            Say(harvester.Write(queue, rows, parsed.GetValue(Output)!), parsed.GetValue(Output)!);
            if (parsed.GetValue(HeldOut) is { } second)
                Say(harvester.Write(queue, parsed.GetValue(HeldRows), second), second);
            return 0;

            void Say(long written, string path) =>
                StyledText.Line($"{written} rows of {model.Site(site).Width} in [bold]{path}[/]");
        }
    }

    static Command UseLite()
    {
        var common = new Common();
        var text = new Option<string>("--text") { Description = "UTF-8 text, one sentence a line", Required = true };
        var model = Options.New("--model", "folder with model.json, its shards and vocab.json", "artifacts/use-lite");
        var site = Options.New("--site", $"site in the network: {string.Join(", ", Lab.Harvest.UseLite.Sites)}",
            "resid_post0");
        var rows = Options.New("--rows", "tokens to write, in whole sentences", 16_384L, 1L, long.MaxValue);
        var command = new Command("use-lite",
            "Read Universal Sentence Encoder Lite, which build/fetch-use-lite.sh fetches.") { text, model, site, rows };
        common.AddTo(command);
        command.SetAction(parsed =>
        {
            using var encoder = new UseLite(parsed.GetValue(model)!);
            return common.Write(parsed, encoder, parsed.GetValue(site)!, false,
                encoder.Sequences(HostInput.Text(parsed.GetValue(text)!)), parsed.GetValue(rows));
        });
        return command;
    }

    static Command Llama2()
    {
        var common = new Common();
        var input = new HostInput();
        var model = new Option<string>("--model")
        {
            Description = "weights in llama2.c's first layout", Required = true
        };
        var site = new Option<string>("--site")
        {
            Description =
                "site in the network: resid_pre0, attn_out0, resid_mid0, mlp_in0, mlp_hidden0, mlp_out0, resid_post0, "
                    + "and so on for each block",
            Required = true
        };
        var rows = Options.New("--rows", "tokens to write, in whole sequences", long.MaxValue, 1L, long.MaxValue);
        var command = new Command("llama2", "Read a causal language model of llama2.c.") { model, site, rows };
        input.AddTo(command);
        common.AddTo(command);
        command.SetAction(parsed =>
        {
            using var host = input.Open(parsed, parsed.GetValue(model)!);
            return common.Write(parsed, host, parsed.GetValue(site)!, input.ExcludesBos(parsed),
                input.Sequences(parsed, host), parsed.GetValue(rows));
        });
        return command;
    }
}
