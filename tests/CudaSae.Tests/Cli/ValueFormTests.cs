using System.CommandLine;
using System.CommandLine.Help;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CudaSae.Bench;
using CudaSae.Cli;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Options accept exactly the documented forms in every culture; anything else is refused in one line with the
/// field, the value and the forms.</summary>
public class ValueFormTests
{
    static readonly RootCommand Root = Commands.Root(), BenchRoot = BenchCommands.Root();

    static string? Fault(params string[] words) => FaultOf(Root, words);

    static string? FaultOf(RootCommand root, params string[] words) =>
        CommandFaults.Of(Commands.Parse(root, words), words);

    /// <summary>Every executable command of both programs.</summary>
    static IEnumerable<(RootCommand Root, string[] Path, Command Command)> Running() =>
        from root in (RootCommand[])[Root, BenchRoot]
        from one in All(root, [])
        where one.Command.Action is not null
        select (root, one.Path, one.Command);

    static IEnumerable<(string[] Path, Command Command)> All(Command from, string[] path) =>
        from.Subcommands.SelectMany(below =>
            (IEnumerable<(string[], Command)>)[([.. path, below.Name], below), .. All(below, [.. path, below.Name])]);

    static void OneLine(string expected, Action read) => AssertOneLine(Regex.Escape(expected), read);

    /// <summary>Texts that are not a valid form of a number, name or truth value.</summary>
    static readonly string[] Never =
    [
        "", " ", " 1", "1 ", "+1", "0x1", "1_0", "1,0", "1.0.0", "1e", "١", "１", "−1", "1\u00a0000", "NaN", "nan",
            "Infinity", "-Infinity", "∞", "1e999", "99999999999999999999999", "-99999999999999999999999", "null",
            "adam,sgd",
        "False ", "yes", "auto,cpu", "%", "@x",
    ];

    [Fact]
    public void EveryOptionRefusesValuesOfAnotherForm()
    {
        var (tried, seen) = (0, new HashSet<(string, Type, string?)>());
        foreach (var (root, path, command) in Running())
            // the options of train occur again in other commands
            foreach (var option in command.Options.Where(o => o is not (HelpOption or VersionOption)
                && seen.Add((o.Name, o.ValueType, o.Description))))
                foreach (var value in Never.Concat(Wrong(option)).Where(_ => !IsText(option)))
                {
                    if (option.Name == "--device-pool" && value is "1e999") continue;
                    // a word after a flag may be data
                    string[] written = option.ValueType == typeof(bool) ? [$"{option.Name}={value}"]
                        : [option.Name, value];
                    var fault = FaultOf(root, [.. path, .. Required(command).Where(_ => !option.Required), .. written]);
                    Assert.True(fault is not null && fault.Contains(option.Name, StringComparison.Ordinal)
                        && !fault.Contains('\n'),
                        $"{string.Join(' ', path)} {option.Name} '{value}': {fault ?? "taken"}");
                    tried++;
                }
        Assert.True(tried > 2000, $"{tried}");

        static bool IsText(Option option) => option.ValueType == typeof(string) || option.ValueType == typeof(string[]);

        static string[] Wrong(Option option) =>
            (Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType) switch
            {
                { IsEnum: true } => ["0", "7", "-1", "adam sgd"],
                var t when t == typeof(bool) => ["1", "0", "on"],
                var t when t == typeof(float) || t == typeof(double) => ["-1e-400", "true", "1f", ".", "-"],
                _ => ["1.5", "1e3", "true", "-"],
            };
    }

    /// <summary>The required arguments of a command.</summary>
    static string[] Required(Command command) =>
        [.. command.Arguments.SelectMany(a => Enumerable.Repeat("x", a.Arity.MinimumNumberOfValues)),
        .. command.Options.Where(o => o.Required).SelectMany(o => (string[])[o.Name, "x"])];

    /// <summary>The default of every option can also be written.</summary>
    [Fact]
    public void EveryOptionAcceptsItsDefault()
    {
        foreach (var (root, path, command) in Running())
            foreach (var option in command.Options.Where(o => !o.Required && o is not (HelpOption or VersionOption)))
            {
                Assert.Null(FaultOf(root, [.. path, .. Required(command), .. FuzzTargets.Standard(option)]));
            }
    }

    [Theory]
    [InlineData("--lr", "--learning-rate", "train"), InlineData("--batch-size", "--batch-rows", "train"),
        InlineData("--width", "--latents", "train"), InlineData("--n", "--latents", "train"),
        InlineData("--d-sae", "--latents", "train"), InlineData("--dict_size", "--latents", "sweep")]
    [InlineData("--epochs", "--vectors", "train"), InlineData("--steps", "--vectors", "train"),
        InlineData("--device", "--backend", "eval"), InlineData("--output", "--out", "train"),
        InlineData("--save-dir", "--out", "sweep"), InlineData("--resume-from", "--resume", "train")]
    [InlineData("--learning_rate", "--learning-rate", "finetune"), InlineData("--sede", "--seed", "train"),
        InlineData("--Latents", "--latents", "train"), InlineData("--batchrows=5", "--batch-rows", "train"),
        InlineData("-seed", "--seed", "train")]
    public void AMistypedOptionIsRefusedWithTheNearestName(string written, string meant, string command)
    {
        var fault = Fault(command, "data.npy", written, "1e-3");
        Assert.Contains($"there is no option {written.Split('=')[0]} (did you mean {meant}?)", fault);
    }

    [Theory]
    [InlineData("no command 'trian' (did you mean train?)", "trian"),
        InlineData("no command 'fine-tune' (did you mean finetune?)", "fine-tune"),
        InlineData("no command 'evaluate' (did you mean eval?)", "evaluate"),
        InlineData("no command 'stpe' (did you mean step?)", "bench", "stpe")]
    [InlineData("no command '[diagram]'", "[diagram]", "train"), InlineData("a command is missing", "harvest"),
        InlineData("a command is missing")]
    [InlineData("--optimizer admaw: it must be one of adam, lazy-row-adam, signum, sgd (did you mean adam?)", "train",
        "--optimizer", "admaw"), InlineData("(did you mean cuda?)", "eval", "--backend", "gpu"),
        InlineData("(did you mean lazy-row-adam?)", "train", "--optimizer", "lazy-row-adm")]
    [InlineData("--seed is given 2 times", "train", "--seed", "1", "--seed", "2"),
        InlineData("--lazy is given 2 times", "train", "--lazy", "--lazy"),
        InlineData("--seed has no value", "train", "--seed"),
        InlineData("--out has no value: --resume", "train", "--out", "--resume")]
    [InlineData("--lazy yes: it must be true or false", "train", "--lazy", "yes", "x.npy"),
        InlineData("--logistic 1: it must be true or false", "probe", "a", "b", "--labels", "c", "--logistic=1"),
        InlineData("a name among the arguments is empty", "eval", "")]
    [InlineData("--k 0: it must be a whole number from 1 to 512", "train", "--k", "0"),
        InlineData("--log-every -1: it must be a whole number from 1", "train", "--log-every", "-1"),
        InlineData("--near nan", "compare", "--near", "nan"), InlineData("--tries 0", "compare", "--tries", "0"),
        InlineData("--aux-k -5", "train", "--aux-k", "-5")]
    [InlineData("--dead-after -1", "train", "--dead-after", "-1"),
        InlineData("--together -1", "sweep", "--together", "-1"), InlineData("--watch x", "train", "--watch", "x"),
        InlineData("--rows 0", "inspect", "x", "--rows", "0"),
        InlineData("--checkpoint-every -1", "train", "--checkpoint-every", "-1"),
        InlineData("--non-finite replace: it must be one of stop, skip", "train", "--non-finite", "replace")]
    public void RefusalsNameTheValidForms(string expected, params string[] words) =>
        Assert.Contains(expected, Fault(words));

    /// <summary>Words after -- are data, and @ begins a file's name like any other letter.</summary>
    [Fact]
    public void DataMayHaveAnyName()
    {
        Assert.Null(Fault("train", "--", "--lr", "-x"));
        Assert.Null(Fault("train", "@x", "[y]", "--seed", "1"));
        Assert.Null(Fault("train", "--help", "--lr"));
    }

    [Fact]
    public void NamesAreAcceptedInAnyCase()
    {
        Assert.Equal("topk", Preset.Named("TopK").Name);
        Assert.Equal("saelens", SaeFormats.Named("SAELens").Name);
        Assert.Null(Fault("train", "--optimizer", "LAZYROWADAM", "--backend", "Cpu", "--lazy", "True"));
        OneLine("there is no preset 'jumprel' (did you mean jumprelu?)", () => Preset.Named("jumprel"));
        // a dotless i is a different letter
        OneLine("there is no preset 'relu-unıt' (did you mean relu-unit?)", () => Preset.Named("relu-unıt"));
        OneLine("format 'sae_lens' is unknown (did you mean saelens?)", () => SaeFormats.Named("sae_lens"));
    }

    /// <summary>A culture with other number formats changes neither input nor output.</summary>
    [Fact]
    public void AnyCultureReadsAndPrintsTheSame()
    {
        var before = CultureInfo.CurrentCulture;
        var odd = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        (odd.NumberFormat.NumberDecimalSeparator, odd.NumberFormat.NumberGroupSeparator,
            odd.NumberFormat.NegativeSign) = (",", ".", "−");
        try
        {
            CultureInfo.CurrentCulture = odd;
            Assert.Contains("--learning-rate 0,5", Fault("train", "--learning-rate", "0,5"));
            Assert.Null(Fault("train", "--learning-rate", "0.5"));
            OneLine("Beta1 = -0.5 is out of range", () => new TrainConfig { Beta1 = -0.5f }.Validate());
            OneLine("input_scale = -1.5: it must be",
                () => RunRecord.Parse("x", RecordFormTests.Edited("input_scale", "-1.5")));
            Assert.Equal(0.25f, FieldEdits.Apply(new TrainConfig(), [new("learning_rate", JsonNode.Parse("0.25"))])
                .LearningRate);
        }
        finally { CultureInfo.CurrentCulture = before; }
    }

    /// <summary>The program ends with exit code 2 and one line, without a stack trace.</summary>
    [Fact]
    public void TheProgramRefusesInOneLine()
    {
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 300, 8);
        string[] small = ["--latents", "16", "--k", "2", "--batch-rows", "32", "--vectors", "64", "--backend", "cpu",
            "--out", folder["run"]];
        Assert.Equal(0, CliProgram.Run(CliProgram.Start(["train", data, .. small])).Code);
        Refused("config.optimizer = 7: it must be one of Adam", "train", data, "--set", "config.optimizer=7");
        Refused("config.seed is given 2 times", "train", data, "--set", "config.seed=1", "--set", "config.seed=2");
        var record = File.ReadAllText(folder["run/train.json"]);
        File.WriteAllText(folder["run/train.json"], record.Replace("\"Cpu\"", "\"nosuch\""));
        Refused("backend = \"nosuch\": it must be one of Auto, Cuda, Cpu", "train", "--resume", folder["run"],
            "--vectors", "128");
        Refused("backend = \"nosuch\"", "eval", folder["run"]);
        Directory.CreateDirectory(folder["sweep"]);
        File.WriteAllText(folder["sweep/sweep.json"],
            """{"members":[],"refused":[],"data":["x"],"beside":[],"held_out":null,"tensor":null,"backend":"Cpu", """
            + "\"together\":0,\"version\":\"1\"}");
        Refused("members = []: it must be one member or more", "sweep", "--resume", folder["sweep"]);
    }

    static void Refused(string expected, params string[] arguments)
    {
        var (code, _, error) = CliProgram.Run(CliProgram.Start(arguments));
        Assert.True(code == 2, $"exit code {code}: {error}");
        Assert.Contains(expected, error);
        Assert.Single(error.TrimEnd().Split('\n'));
    }
}
