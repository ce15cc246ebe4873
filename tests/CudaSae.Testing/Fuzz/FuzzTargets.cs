using System.Text;
using CudaSae.Activations.Stores;
using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Lab.Harvest;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Testing.Bytes;
using CudaSae.Training;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Testing.Fuzz;

/// <summary>Every parser, with valid files that the project's writers made.</summary>
sealed partial class FuzzTargets : IDisposable
{
    const string Name = "x";            // path of files in memory

    readonly DirectoryInfo folder = Directory.Exists("/dev/shm")
        ? Directory.CreateDirectory(Path.Combine("/dev/shm",
            $"cudasae-fuzz-{Environment.ProcessId}-{Guid.NewGuid():N}"))
        : Directory.CreateTempSubdirectory("cudasae-fuzz");

    public FuzzTargets() => All =
        [Safetensors(), Npy(), Npz(), Pt(), Arrow(), ArrowState(), Checkpoints(), WholeCheckpoints(),
        RankedCheckpoints(), PiecesOfAnSae(), TrainJson(), Settings(), Tokenizer(), TfJs(), Saev(), Http(),
        LabelsCsv(), LabelsNpy(), Idx(), Vocabulary(), Sentences(), Llama2(), Llama2Vocabulary(), SweepJson(),
        OutcomeJson(), MetricsLines(), Chapters(), Densities(), TokenLines(), Sites(), CommandLines(), TrainLines(),
        .. Formats()];

    public IReadOnlyList<FuzzTarget> All { get; }

    public void Dispose() => folder.Delete(recursive: true);

    static byte[][] Words(params string[] words) => [.. words.Select(Encoding.Latin1.GetBytes)];

    /// <summary>Returns the bytes that a writer writes.</summary>
    byte[] Written(Action<string> write)
    {
        var path = Path.Combine(folder.FullName, "written");
        write(path);
        return File.ReadAllBytes(path);
    }

    static TensorToWrite[] Tensors() =>
    [
        new("W_enc", "F32", [3, 4], s => s.Write(new byte[48])), new("b", "F16", [5], s => s.Write(new byte[10])),
        new("ids", "I64", [2], s => s.Write(new byte[16])), new("one", "F32", [], s => s.Write(new byte[4])),
        new("none", "F32", [0, 4], _ => { }),
    ];

    /// <summary>Reads every tensor's first and last byte, and the tensors that convert to numbers.</summary>
    static void Touch(TensorFile file)
    {
        foreach (var tensor in file.Tensors.Values)
        {
            if (tensor.Bytes > 0) _ = file.Slice(tensor, 0, 1)[0] + file.Slice(tensor, tensor.Bytes - 1, 1)[0];
            if (tensor is { Shape: [1], Type: "F32" or "I64" }) _ = file.Scalar(tensor.Name);
            else if (tensor is { Shape: [> 0 and < 100 and var length], Type: "F32" or "F16" })
                _ = file.Vector(tensor.Name, length);
        }
        foreach (var (key, value) in file.Metadata) _ = key.Length + value.Length;
    }

    FuzzTarget Safetensors()
    {
        static void Read(byte[] bytes)
        {
            using var file = new SafetensorsFile(new MappedFile(Name, bytes));
            Touch(file);
        }
        return new("safetensors",
        [
            new(Written(p => SafetensorsWriter.Write(p, Tensors(),
                new Dictionary<string, string> { ["format"] = "pt", ["step"] = "3" })),
                JsonStructure.Safetensors, Read),
            new(Written(p => SafetensorsWriter.Write(p, [])), JsonStructure.Safetensors, Read),
        ],
        Words("\"dtype\"", "\"shape\"", "\"data_offsets\"", "__metadata__", "\"F64\"", "\"BF16\"", "\"BOOL\"",
            "\"F8_E4M3\"", "\"W_enc\":", "[0,0]", "[0]", "[]", "{}", ",", "\"\\u0000\"", "\"\xff\"", "\"\\ud800\"",
            "null"));
    }

    FuzzTarget Npy()
    {
        static void Read(byte[] bytes)
        {
            using var shard = new NpyShard(new MappedFile(Name, bytes));
            Touch(shard);
        }
        byte[] File(string descr, byte version, params long[] shape)
        {
            byte[] header = NpyFile.MakeHeader(descr, shape);
            header[6] = version;
            if (version > 1) header = [.. header[..8], .. BitConverter.GetBytes(header.Length - 10), .. header[10..]];
            return [.. header, .. new byte[(descr == "<f4" ? 4 : 2) * shape.Aggregate(1L, (a, b) => a * b)]];
        }
        return new("npy",
            [new(File("<f4", 1, 3, 4), null, Read), new(File("<f2", 2, 2, 3, 2), null, Read),
                new(File("<f4", 3, 0, 4), null, Read)],
            Words("'descr': ", "'fortran_order': True", "'shape': (", "<f4", "<f2", "|O", "),", "(", ", 1", "\x93NUMPY",
                "'", " ", "\n", "\xe2\x80\xa8"));
    }

    static byte[][] ZipWords =>
        Words("PK\x03\x04", "PK\x01\x02", "PK\x05\x06", "PK\x06\x06", "PK\x06\x07", "\x01\0\x10\0", "\xff\xff\xff\xff",
            "\xff\xff", "../", "/", "\0", ".npy", "data.pkl", "version", "byteorder");

    FuzzTarget Npz()
    {
        static void Read(byte[] bytes)
        {
            using var file = new NpzFile(new MappedFile(Name, bytes));
            Touch(file);
        }
        var stored = Written(p => NpzWriter.Write(p, Tensors()));
        return new("npz",
            [new(stored, ZipStructure.Mutate, Read),
                new(Written(p => NpzWriter.Write(p, Tensors(), zip64: true)), ZipStructure.Mutate, Read),
                new(ZipStructure.Deflated(stored), ZipStructure.Mutate, Read)],
            [.. ZipWords, .. Words("'descr': ", "True", "'shape': (", "<f8", "|b1", "\x93NUMPY", ", 1")]);
    }

    FuzzTarget Pt()
    {
        static void Read(byte[] bytes)
        {
            using var file = new PtFile(new MappedFile(Name, bytes));
            Touch(file);
        }
        var scalars = new Dictionary<string, object>
        {
            ["k"] = 4, ["big"] = 1L << 40, ["name"] = "TopK",
            ["nested"] = new Dictionary<string, object>
            {
                ["a"] = true, ["b"] = 0.5,
                ["c"] = new Dictionary<string, object>()
            }
        };
        return new("pt",
        [
            new(Written(p => PtWriter.Write(p, Tensors(), scalars)), ZipStructure.Mutate, Read),
            new(Written(p => PtWriter.Write(p, [], scalars)), ZipStructure.Mutate, Read),
            new(Written(p => PtWriter.Write(p, Tensors(), null, zip64: true)), ZipStructure.Mutate, Read),
        ],
        [
            .. ZipWords,
            .. Words("(", ")", "t", "}", "]", "u", "e", "a", "s", ".", "R", "Q", "b", "N", "0", "2", "h\0", "h\x01",
                "q\0", "j\0\0\0\0", "r\xff\xff\xff\xff", "\x94", "\x93", "\x85", "\x86", "\x87", "\x88", "\x8a\xff",
                "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
                "\x8a\x09\0\0\0\0\0\0\0\x80\0", "J\xff\xff\xff\x7f", "J\xff\xff\xff\xff", "K\0",
                "G\x7f\xf8\0\0\0\0\0\0", "X\xff\xff\xff\x7f", "X\x01\0\0\0\n", "X\0\0\0\0", "\x8c\x01\0",
                "\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "B\x01\0\0\0\xff", "C\x01\x01",
                "\x95\0\0\0\0\0\0\0\0", "cos\nsystem\n", "ctorch._utils\n_rebuild_tensor_v2\n",
                "ctorch._utils\n_rebuild_parameter\n", "ctorch\nSize\n", "ctorch\ndevice\n", "ctorch\nfloat32\n",
                "cnumpy\ndtype\n", "cnumpy.core.multiarray\nscalar\n",
                "c_codecs\nencode\n", "ccollections\nOrderedDict\n", "\x80\x02", "]q\x05h\x05a"),
        ]);
    }

    /// <summary>Reads the first and last rows, and their tokens.</summary>
    static void Touch(IShard shard)
    {
        if (shard.Rows == 0) return;
        foreach (var row in (long[])[0, shard.Rows / 2, shard.Rows - 1])
        {
            shard.Read(row, new byte[shard.Width * shard.Type.Bytes()]);
            _ = shard.Locate(row);
            if (shard.HasTokens) _ = shard.Token(row);
        }
    }

    static FuzzTarget Arrow()
    {
        static void Read(byte[] bytes)
        {
            using var shard = new ArrowShard(new MappedFile(Name, bytes), null);
            Touch(shard);
        }
        ArrowBytes[] files = [new(), new() { LargeLists = true, FixedTokenLists = false, Element = "F16" },
            new() { Framed = true, TokenPositions = 0, Contexts = [1] }, new() { Contexts = [] }];
        return new("arrow", [.. files.Select(f => new FuzzCase(f.Write(), null, Read))],
            Words("\xff\xff\xff\xff", "\xff\xff\xff\x7f", "\0\0\0\x80", "\0\0\0\0\0\0\0\0", "\x04\0\0\0", "\x08\0\0\0",
                "ARROW1", "token_ids", "\x0c", "\x10", "\x15", "\n"));
    }

    static FuzzTarget Checkpoints()
    {
        var spec = new SaeSpec { InputWidth = 6, Latents = 24, Selection = new Selection.TopK(4) };
        void Read(byte[] bytes)
        {
            using var file = new SafetensorsFile(new MappedFile(Name, bytes));
            _ = file.Require("w", "F32", 2, -1);
            var at = Checkpoint.Position(file);
            new TrainerState(spec, new()).Load(at.State!);
        }
        byte[] header = [.. Encoding.ASCII.GetBytes(
            """{"__metadata__":{"dense":"1","penalty_factor":"0.5","power_sum":"1e3","""
            + """ "next_power_sum":"0","step":"12","epoch":"0","position":"4096"},"""
            + """ "w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}""")];
        return new("checkpoint",
            [new([.. BitConverter.GetBytes((long)header.Length), .. header, .. new byte[8]], JsonStructure.Safetensors,
                Read)],
            Words("\"step\":", "\"epoch\":", "\"position\":", "\"dense\":", "\"-1\"", "\"9223372036854775808\"",
                "\"1e999\"", "\"NaN\"", "__metadata__"));
    }

    /// <summary>A whole checkpoint with its checksums: a changed file is refused, or holds what was written.</summary>
    FuzzTarget WholeCheckpoints()
    {
        StateArray[] arrays = [new("w_enc", "F32", [6, 4]), new("last_fired", "I32", [6]), new("moment", "U8", [3])];
        var written = Written(path => CheckpointFile.Write(path, arrays, Fill,
            new Dictionary<string, string>
            {
                ["step"] = "12", ["epoch"] = "1", ["position"] = "4096",
                ["backend"] = "cpu", ["fvu"] = "0.25"
            }));
        var path = Path.Combine(folder.FullName, "step-000000012.safetensors");
        return new("checkpoint-file", [new(written, JsonStructure.Safetensors, Read)],
            Words("\"step\":", "\"version\":", "\"2\"", "\"3\"", "checksum", "checksum.w_enc", "\"00000000\"",
                "__metadata__", "\"F32\"", "[24]"));

        static void Fill(StateArray array, long offset, Span<byte> into)
        {
            for (var i = 0; i < into.Length; i++) into[i] = (byte)(7 * (offset + i) + array.Name.Length);
        }

        void Read(byte[] bytes)
        {
            File.WriteAllBytes(path, bytes);
            using var file = CheckpointFile.OpenVerified(path);
            var at = Checkpoint.Position(file);
            if (!CheckpointFile.HasChecksums(file)) return;     // in the form of the first version
            if (at.Step != 12 || at.Cursor.Position != 4096 || file.Tensors.Count != arrays.Length)
                throw new InvalidOperationException("a changed checkpoint was accepted");
            foreach (var array in arrays)
            {
                var (expected, there) = (new byte[array.Bytes], new byte[array.Bytes]);
                Fill(array, 0, expected);
                file.Read(file.Require(array.Name, array.Type, array.Shape), 0, there);
                if (!expected.AsSpan().SequenceEqual(there))
                    throw new InvalidOperationException($"a changed checkpoint was accepted: {array.Name}");
            }
        }
    }

    static FuzzTarget TrainJson()
    {
        static byte[] Record(string preset)
        {
            var (spec, config) = Preset.Named(preset).Make(6, 24, 4, new() { BatchRows = 64, Vectors = 6400 });
            var record = new RunRecord(spec, config, 1.5, 2, ["a.npy", "b.npy"], "c.npy", null, 100, "cpu", "1.0")
            {
                Beside = ["d.npy"],
            };
            return System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(record, CheckpointJson.Compact.RunRecord);
        }
        static void Read(byte[] bytes)
        {
            var record = RunRecord.Parse(Name, bytes);
            record.Spec.Validate();
            record.Config.Validate();
            foreach (var name in (string?[])[.. record.Data, .. record.Beside, record.Backend, record.Version])
                _ = name!.Length;
        }
        return new("train.json", [.. Preset.All.Select(p => new FuzzCase(Record(p.Name), JsonStructure.Mutate, Read))],
            Words("\"spec\":", "\"config\":", "\"selection\":", "\"$type\":", "\"kind\":", "\"topk\"", "\"penalty\":",
                "\"sites\":[3,3]", "\"nested\":", "\"Infinity\"", "\"NaN\"", "null", "\"aux\":null"));
    }

    static FuzzTarget Settings()
    {
        static void Read(byte[] bytes) => TrainerSettings.Parse(Encoding.UTF8.GetString(bytes)).Records();
        var texts =
            Preset.All.Select(p => $$"""{"preset": "{{p.Name}}", "input_width": 6, "latents": 24, "k": 4,"""
                + """ "spec": {"tying": "untied"}, "config": {"batch_rows": 64, "vectors": 6400,"""
                + """ "learning_rate": 0.001}, "backend": "cpu", "input_type": "float32"}""")
            .Append("""{"input_width": 512, "latents": 4096, "spec": {"aux": null, "decoder_norm": "free","""
                + """ "tying": "untied", "selection": {"kind": "topk", "k": 3}},"""
                + """ "config": {"resampling": null, "seed": 3, "ema_decay": 0.5}}""");
        return new("trainer-settings",
            [.. texts.Select(t => new FuzzCase(Encoding.UTF8.GetBytes(t), JsonStructure.Mutate, Read))],
            Words("\"preset\":", "\"selection\":", "\"selection.k\":", "\"selection.bandwidth\":",
                "\"penalty.coefficient\":", "\"sites\":[3,3]", "\"nested.widths\":[6,12]",
                "\"transcoder\":{\"output_width\":6}", "\"aux.k\":", "\"\":", "\".\":", "\"a.b.c\":", "null",
                "\"matryoshka\"",
                "\"batch_rows\":", "\"vectors\":", "\"warmup_fraction\":", "\"NaN\"", "\"Infinity\"", "\"kind\":"));
    }

    static FuzzTarget Tokenizer()
    {
        static void Read(byte[] bytes)
        {
            var tokenizer = new UseLiteTokenizer(Name, bytes);
            foreach (var id in tokenizer.Encode("a cat sat.")) _ = tokenizer.Piece(id).Length;
        }
        var text =
            """[["<unk>",0],["<s>",0],["</s>",0],["\u2581",-3],["a",-2],["b",null],["\u2581a",-1.5],"""
            + """["cat",-4],["\u2581cat",-3.25],["s",-5],["at",-2],["t",-6],[".",-1]]""";
        return new("tokenizer", [new(Encoding.UTF8.GetBytes(text), JsonStructure.Mutate, Read)],
            Words("[\"x\",-1],", "null", "\"\"", "\"\\ud800\"", "1e999", "[]", "{}", "\"\xff\"", ","));
    }
}
