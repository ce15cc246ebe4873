using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Records accept exactly the documented forms; anything else is one line with the field, the value and the
/// forms.</summary>
public class RecordFormTests
{
    static void OneLine(string expected, Action read) => AssertOneLine(Regex.Escape(expected), read);

    static byte[] Valid => JsonSerializer.SerializeToUtf8Bytes(new RunRecord(Preset.Named("jumprelu")
        .Make(6, 24, 4).Spec, new(), 1.5, 2, ["a.npy"], null, null, 100, "Cpu", "1.0")
    { Preset = "jumprelu" },
        CheckpointJson.Compact.RunRecord);

    /// <summary>A run's record in which the text of one field is replaced.</summary>
    internal static byte[] Edited(string path, string json)
    {
        var node = JsonNode.Parse(Valid)!;
        var (at, parts) = (node, path.Split('.'));
        foreach (var part in parts[..^1]) at = at![part];
        at![parts[^1]] = "EDIT";
        return Encoding.UTF8.GetBytes(node.ToJsonString().Replace("\"EDIT\"", json));
    }

    [Theory]
    [InlineData("backend", "\"nosuch\"", "backend = \"nosuch\": it must be one of Auto, Cuda, Cpu"),
        InlineData("backend", "7", "backend = 7: it must be a text"),
        InlineData("backend", "\"7\"", "backend = \"7\": it must be one of"),
        InlineData("backend", "\"cpuu\"", "(did you mean Cpu?)")]
    [InlineData("backend", "null", "backend = null"),
        InlineData("preset", "\"nosuch\"", "there is no preset 'nosuch'"),
        InlineData("config.optimizer", "2", "config.optimizer = 2: it must be one of Adam, LazyRowAdam"),
        InlineData("config.optimizer", "\"2\"", "config.optimizer = \"2\": it must be one of")]
    [InlineData("config.optimizer", "\"Adam, Sgd\"", "it must be one of Adam"),
        InlineData("config.optimizer", "\" Adam\"", "it must be one of Adam"),
        InlineData("spec.selection.kind", "\"topkk\"", "(did you mean topk?)"),
        InlineData("spec.selection.kind", "3", "spec.selection.kind = 3"),
        InlineData("spec.selection.kernel", "1", "spec.selection.kernel = 1: it must be one of Rectangle")]
    [InlineData("spec.selection", "{}", "spec.selection.kind is missing"),
        InlineData("spec.selection", "null", "spec.selection = null"),
        InlineData("config.batch_rows", "\"64\"", "config.batch_rows = \"64\": it must be a whole number"),
        InlineData("config.batch_rows", "64.5", "config.batch_rows = 64.5: it must be a whole number"),
        InlineData("config.batch_rows", "1e9999", "config.batch_rows")]
    [InlineData("config.learning_rate", "\"0,5\"", "config.learning_rate = \"0,5\": it must be a number"),
        InlineData("config.learning_rate", "\"NaN\"", "learning_rate = NaN is out of range"),
        InlineData("config.learning_rate", "1e99", "config.learning_rate = 1e99"),
        InlineData("config.clip_norm", "\"Infinity\"", "clip_norm"),
        InlineData("config.lazy", "\"true\"", "config.lazy = \"true\": it must be true or false")]
    [InlineData("config.lr", "1", "config.lr: there is no such field (did you mean learning_rate?)"),
        InlineData("config", "{}}", "line 1"), InlineData("spec.input_width", "-1", "InputWidth = -1 is out of range"),
        InlineData("config.log_every", "0", "log_every = 0"), InlineData("train_rows", "-5", "train_rows = -5"),
        InlineData("input_scale", "0", "input_scale = 0"), InlineData("variance", "\"NaN\"", "variance = NaN")]
    [InlineData("data", "[]", "data = []"), InlineData("data", "[null]", "data[0] = null"),
        InlineData("data", "\"a\"", "data = \"a\": it must be a list"), InlineData("data", "[\"\"]", "data or beside"),
        InlineData("config.trainable", "\"All, Nosuch\"", "config.trainable"),
        InlineData("config.trainable", "512", "config.trainable = 512"),
        InlineData("version", "1", "version = 1: it must be a text")]
    [InlineData("config.beta1", "0.5,\"beta1\":0.5", "config.beta1 is there twice"),
        InlineData("config.beta1", "0.5,", "line 1"), InlineData("config.beta1", "0.5 // x", "line 1"),
        InlineData("spec", "[]", "spec = […]: it must be an object"),
        InlineData("spec.penalty.kind", "\"L0\"", "(did you mean l0?)")]
    public void ARecordFieldAcceptsOnlyItsForms(string field, string json, string expected)
    {
        OneLine(expected, () => RunRecord.Parse("x", Edited(field, json)));
        Assert.Equal("jumprelu", RunRecord.Parse("x", Valid).Preset);
    }

    [Fact]
    public void EncodingsOfARecordAreReadOrNamed()
    {
        Assert.Equal(100, RunRecord.Parse("x", [0xEF, 0xBB, 0xBF, .. Valid]).TrainRows);
        Assert.Equal("Cpu", RunRecord.Parse("x", Edited("backend", "\"cpu\"")).Backend);
        OneLine("UTF-16", () => RunRecord.Parse("x", [.. Encoding.Unicode.Preamble,
            .. Encoding.Unicode.GetBytes(Encoding.UTF8.GetString(Valid))]));
        OneLine("it is empty", () => RunRecord.Parse("x", []));
        OneLine("it is empty", () => RunRecord.Parse("x", "\n \n"u8.ToArray()));
        OneLine("depth", () => RunRecord.Parse("x", Encoding.UTF8.GetBytes(new string('[', 100_000))));
    }

    /// <summary>No enum of any record is read from a number: each has a converter that accepts names alone.</summary>
    [Fact]
    public void EveryEnumOfTheRecordsIsReadByName()
    {
        var (seen, enums) = (new HashSet<Type>(), new List<JsonTypeInfo>());
        foreach (var root in (JsonTypeInfo[])[CheckpointJson.Compact.RunRecord, SweepJson.Compact.SweepRecord,
            SweepJson.Compact.SweepOutcome, SettingsJson.Compact.TrainerSettings, MetricsJson.Compact.StepMetrics])
            Walk(root);
        Assert.True(enums.Count >= 17, $"{enums.Count}");
        foreach (var type in enums)
        {
            foreach (var number in (string[])["0", "1", "\"0\"", "\"1\"", "\"+1\"", "\"\"", "\"nosuch\"", "null",
                "true"]) Assert.ThrowsAny<JsonException>(() =>
                JsonSerializer.Deserialize(number, type));
            foreach (var name in Enum.GetNames(type.Type)) Assert.Equal(Enum.Parse(type.Type, name),
                JsonSerializer.Deserialize($"\"{name.ToUpperInvariant()}\"", type));
        }

        void Walk(JsonTypeInfo type)
        {
            if (!seen.Add(type.Type)) return;
            if (type.Type.IsEnum) enums.Add(type);
            foreach (var property in type.Properties) Walk(type.Options.GetTypeInfo(property.PropertyType));
            foreach (var derived in type.PolymorphismOptions?.DerivedTypes
                ?? []) Walk(type.Options.GetTypeInfo(derived.DerivedType));
            if (type.ElementType is { } element) Walk(type.Options.GetTypeInfo(element));
        }
    }

    [Fact]
    public void ACastNumberIsNotAnEnumValue()
    {
        OneLine("Optimizer = 7 is out of range: it must be one of Adam", () =>
            new TrainConfig { Optimizer = (OptimizerKind)7 }.Validate());
        OneLine("Tying = 9", () => (Preset.Named("topk").Make(8, 16, 2).Spec with { Tying = (Tying)9 }).Validate());
    }
}
