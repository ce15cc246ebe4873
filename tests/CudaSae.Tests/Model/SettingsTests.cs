using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CudaSae.Bench.Reference;
using CudaSae.Cli;

namespace CudaSae.Tests;

/// <summary>The table of settings describes every field of TrainConfig, and each front spells settings its own
/// way.</summary>
public partial class SettingsTests
{
    [Fact]
    public void TheTableHasEveryFieldOnce() =>
        Assert.Equal(SaeRecords.Write(new TrainConfig()).AsObject().Select(field => field.Key).Order(),
            ConfigSettings.All.Select(setting => setting.Field).Order());

    [Fact]
    public void DefaultsAreInRange() => Assert.All(ConfigSettings.All, setting => setting.Check(new()));

    [Fact]
    public void ASettingReadsAndWritesItsOwnField() => Assert.All(ConfigSettings.All, setting =>
    {
        var (before, changed) = (SaeRecords.Write(new TrainConfig()).AsObject(), setting.Accept(new Change()));
        var after = SaeRecords.Write(changed).AsObject();
        Assert.Equal([setting.Field],
            before.Where(field => !JsonNode.DeepEquals(field.Value, after[field.Key])).Select(field => field.Key));
    });

    [Fact]
    public void AValueOutOfRangeIsRefusedByName() =>
        Assert.True(ConfigSettings.All.Count(setting => setting.Accept(new OutOfRange())) > 25);

    [Theory]
    [InlineData("LearningRate = 0 is out of range", "--learning-rate 0 is out of range",
        "learning_rate = 0 is out of range")]
    [InlineData("use Storage = BFloat16, or fewer latents", "use --storage bfloat16, or fewer latents",
        "use storage = \"BFloat16\", or fewer latents")]
    [InlineData("Lazy = True with Beta1 = 0", "--lazy true with --beta1 0", "lazy = true with beta1 = 0")]
    [InlineData("at least BatchRows = 1024", "at least --batch-rows 1024", "at least batch_rows = 1024")]
    [InlineData("a lower LearningRate or gradient clipping", "a lower --learning-rate or gradient clipping",
        "a lower learning_rate or gradient clipping")]
    [InlineData("a ShuffleWindow of fewer rows, or DevicePool = 0",
        "a --shuffle-window of fewer rows, or --device-pool off",
        "a shuffle_window of fewer rows, or device_pool = 0")]
    [InlineData("use Backend = Cpu", "use --backend cpu", "use backend = \"Cpu\"")]
    [InlineData("Optimizer = LazyRowAdam;", "--optimizer lazy-row-adam;", "optimizer = \"LazyRowAdam\";")]
    [InlineData("choose one with Tensor = NAME", "choose one with --tensor NAME", "choose one with tensor = NAME")]
    [InlineData("DecoderInitNorm = 2 and DecoderInit", "--decoder-init-norm 2 and --decoder-init",
        "decoder_init_norm = 2 and decoder_init")]
    // Words of a sentence, and names inside longer names, are not settings.
    [InlineData("Storage is full; Seed of the run", "Storage is full; Seed of the run",
        "Storage is full; Seed of the run")]
    [InlineData("a/LearningRates.npy = 1", "a/LearningRates.npy = 1", "a/LearningRates.npy = 1")]
    public void EachFrontHasItsSpelling(string message, string commandLine, string record)
    {
        Assert.Equal(commandLine, SettingSpelling.ForCommandLine(message));
        Assert.Equal(record, SettingSpelling.ForRecords(message));
    }

    /// <summary>A user of C#, C or Python has no options.</summary>
    [Fact]
    public void NoMessageOfTheEngineNamesAnOption()
    {
        var found = from file in Directory.GetFiles(Path.Combine(Repository.Root, "src", "CudaSae"), "*.cs",
                SearchOption.AllDirectories)
                    where Path.GetFileName(file) != "Setting.cs" && Path.GetFileName(file) != "SettingSpelling.cs"
                    from line in File.ReadLines(file)
                    where !line.TrimStart().StartsWith("//", StringComparison.Ordinal) && OptionInText().IsMatch(line)
                    select $"{Path.GetFileName(file)}: {line.Trim()}";
        Assert.Empty(found);
    }

    [Fact]
    public void OptionsAreThoseOfTheTable()
    {
        var train = Commands.Root().Subcommands.Single(command => command.Name == "train");
        var names = train.Options.Select(option => option.Name).ToHashSet();
        Assert.All(ConfigSettings.All, setting => Assert.Equal(setting.HasOption, names.Contains(setting.Flag)));
    }

    [Fact]
    public void GeneratedPagesAreUpToDate() => Assert.All(ReferencePages.All(), page => Assert.Equal(page.Text,
        File.ReadAllText(Path.Combine(Repository.Root, "docs", "reference", page.Name))));

    [GeneratedRegex("\"[^\"]*--[a-z][a-z0-9-]+")]
    private static partial Regex OptionInText();

    /// <summary>The standard config with another value of one setting.</summary>
    sealed class Change : ISettingVisitor<TrainConfig>
    {
        public TrainConfig Visit<T>(ConfigSetting<T> setting)
        {
            var config = new TrainConfig();
            object other = setting.Get(config) switch
            {
                bool value => !value,
                int value => value + 1,
                long value => value + 1,
                ulong value => value + 1,
                float value => value + 0.125f,
                double value => value + 0.125,
                Trainable value => value & ~Trainable.Encoder,
                Enum value => Enum.GetValues(typeof(T)).Cast<Enum>().First(one => !one.Equals(value)),
                null => new Resampling(7),
                var value => throw new NotSupportedException($"{setting.Property} is a {value.GetType()}"),
            };
            var changed = setting.With(config, (T)other);
            Assert.Equal((T)other, setting.Get(changed));
            return changed;
        }
    }

    /// <summary>Whether a setting has a value out of range, which is refused with its name.</summary>
    sealed class OutOfRange : ISettingVisitor<bool>
    {
        public bool Visit<T>(ConfigSetting<T> setting)
        {
            object? bad = setting.Get(new()) switch
            {
                int => -1,
                long => -2L,
                float => float.NaN,
                double => double.NaN,
                Enum => Enum.ToObject(typeof(T), 1 << 20),
                _ => null,
            };
            if (bad is null) return false;
            AssertOneLine($"^{setting.Property} = .* is out of range: it must be {Regex.Escape(setting.Range)}$",
                () => setting.With(new(), (T)bad).Validate());
            return true;
        }
    }
}
