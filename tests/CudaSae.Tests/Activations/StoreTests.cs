using System.Runtime.InteropServices;
using CudaSae.Backends.Cpu;
using CudaSae.Feeding;

namespace CudaSae.Tests;

/// <summary>Activation stores of other projects, written here in their formats. They are read back bit for bit with
/// their tokens, or refused in one line.</summary>
public class StoreTests
{
    /// <summary>Makes rows; row r holds r, r + 1/8, r + 2/8, ….</summary>
    internal static float[] Rows(int first, int rows, int width) =>
        [.. Enumerable.Range(0, rows * width).Select(i => first + i / width + i % width / 8f)];

    static TensorToWrite Tensor<T>(string name, string type, long[] shape, T[] values) where T : unmanaged =>
        new(name, type, shape, s => s.Write(MemoryMarshal.AsBytes<T>(values)));

    static void Npy<T>(string path, string descr, T[] values, params long[] shape) where T : unmanaged =>
        File.WriteAllBytes(path, [.. NpyFile.MakeHeader(descr, shape), .. MemoryMarshal.AsBytes<T>(values)]);

    internal static int[] Firsts(ActivationSource source) =>
        [.. Enumerable.Range(0, (int)source.Rows).Select(i => First(source, i))];

    /// <summary>Returns the number of row i from its first column, after a check of the other columns.</summary>
    static int First(ActivationSource source, long i)
    {
        var row = new float[source.Width];
        source.ReadRow(i, row);
        for (var c = 1; c < row.Length; c++) Assert.Equal(row[0] + c / 8f, row[c]);
        return (int)row[0];
    }

    internal static ActivationSource Open(string path, string? tensor = null) => ActivationSource.Open([path], tensor);

    internal static void Refused(string expected, string path, string? tensor = null) =>
        AssertOneLine(expected, () => Open(path, tensor).Dispose());

    [Fact]
    public void ContextsAndPositionsAreFlattened()
    {
        using var folder = new TemporaryFolder();
        Npy(folder["x.npy"], "<f4", Rows(0, 6, 4), 2, 3, 4);
        SafetensorsWriter.Write(folder["x.safetensors"], [Tensor("acts", "F32", [2, 3, 4], Rows(6, 6, 4))]);
        using var source = ActivationSource.Open([folder["x.npy"], folder["x.safetensors"]]);
        Assert.Equal((12, 4), (source.Rows, source.Width));
        Assert.Equal(Enumerable.Range(0, 12), Firsts(source));
        Npy(folder["v.npy"], "<f4", Rows(0, 1, 4), 4);
        Refused("is a matrix|are a matrix", folder["v.npy"]);
    }

    [Theory]
    [InlineData("<i4")]
    [InlineData("<i8")]
    [InlineData("<u2")]
    public void TokensBelongToTheirRows(string type)
    {
        using var folder = new TemporaryFolder();
        void Tokens(string name, params long[] ids)
        {
            if (type == "<i8") Npy(folder[name], type, ids, ids.Length);
            else if (type == "<i4") Npy(folder[name], type, ids.Select(i => (int)i).ToArray(), 1, ids.Length);
            else Npy(folder[name], type, ids.Select(i => (ushort)i).ToArray(), ids.Length);
        }
        Directory.CreateDirectory(folder["a"]);
        Npy(folder["a/x.npy"], "<f4", Rows(0, 2, 3), 2, 3);
        Npy(folder["a/y.npy"], "<f4", Rows(2, 3, 3), 3, 3);
        Tokens("a/x.tokens.npy", 7, 50_000);
        // y has no token ids
        using (var some = Open(folder["a"])) Assert.Equal((5, false), (some.Rows, some.HasTokens));
        Tokens("a/y.tokens.npy", 1, 2, 3);
        using (var source = Open(folder["a"]))
        {
            Assert.True(source.HasTokens);
            Assert.Equal([7, 50_000, 1, 2, 3], Enumerable.Range(0, 5).Select(i => source.Token(i)));
        }
        Npy(folder["z.npy"], "<f4", Rows(0, 5, 3), 5, 3);
        Tokens("z.tokens.npy", 7, 50_000, 1, 2, 4);
        AssertOneLine("is token 3 but .* token 4",
            () => ActivationSource.Join(Open(folder["z.npy"]), Open(folder["a"])));
        Tokens("a/y.tokens.npy", 1, 2);
        Refused("2 token ids for 3 rows", folder["a"]);
        Npy(folder["a/y.tokens.npy"], "<f8", new double[3], 3);
        Refused("token ids of type", folder["a"]);
    }

    [Fact]
    public void TokenIdsBeyondIntegersAreRefusedWhenRead()
    {
        using var folder = new TemporaryFolder();
        SafetensorsWriter.Write(folder["x.safetensors"],
            [Tensor("a", "F32", [1, 2], Rows(0, 1, 2)), Tensor("token_ids", "I64", [1], [1L << 40])]);
        using var source = Open(folder["x.safetensors"]);
        AssertOneLine("not a token id", () => source.Token(0));
    }

    static void OpenMossChunk(string path, int contexts, int first, byte[]? mask = null, int tokens = -1) =>
        SafetensorsWriter.Write(path,
        [
            Tensor("activation", "F32", [contexts, 3, 4], Rows(first, contexts * 3, 4)),
            Tensor("tokens", "I64", [contexts, tokens < 0 ? 3 : tokens],
                [.. Enumerable.Range(first, contexts * (tokens < 0 ? 3 : tokens)).Select(i => 100L + i)]),
            Tensor("mask", "BOOL", [contexts, 3], mask ?? [.. Enumerable.Repeat((byte)1, contexts * 3)]),
            Tensor("attention_mask", "I64", [contexts, 3], new long[contexts * 3]),
        ]);

    [Fact]
    public void OpenMossChunksAreReadInOrderWithoutMaskedRows()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["c"]);
        OpenMossChunk(folder["c/shard-0-chunk-00000000.safetensors"], 2, 0, [0, 1, 1, 0, 1, 0]);
        OpenMossChunk(folder["c/shard-0-chunk-00000001.safetensors"], 1, 6);
        OpenMossChunk(folder["c/shard-10-chunk-00000000.safetensors"], 1, 12, new byte[3]);
        OpenMossChunk(folder["c/shard-2-chunk-00000000.safetensors"], 1, 9);
        File.WriteAllText(folder["c/shard-0-chunk-00000000.meta.json"], "[]");
        using var source = Open(folder["c"]);
        int[] expected = [1, 2, 4, 6, 7, 8, 9, 10, 11];
        Assert.Equal(expected, Firsts(source));
        Assert.Equal(expected, Enumerable.Range(0, 9).Select(i => source.Token(i) - 100));
        Assert.EndsWith("00000000.safetensors, row 4", source.Locate(2));
        Refused("its folders: c", Path.GetDirectoryName(folder["c"])!);
        Refused("holds no rows", folder["c/shard-10-chunk-00000000.safetensors"]);
        File.Delete(folder["c/shard-0-chunk-00000000.safetensors"]);
        Refused("chunk 0 should come first", folder["c"]);
        OpenMossChunk(folder["c/shard-0-chunk-00000000.safetensors"], 2, 0, tokens: 4);
        Refused("8 token ids for 6 rows", folder["c"]);
    }

    [Fact]
    public void NumberedChunksAreReadInNumericalOrder()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["h"]);
        for (var i = 0; i <= 10; i++)
            SafetensorsWriter.Write(folder[$"h/{i}.safetensors"],
                [Tensor("x", "F16", [2, 3], Rows(2 * i, 2, 3).Select(v => (Half)v).ToArray())]);
        using (var source = Open(folder["h"])) Assert.Equal(Enumerable.Range(0, 22), Firsts(source));
        SafetensorsWriter.Write(folder["h/10.safetensors"], [Tensor("x", "F16", [2, 4], new Half[8])]);
        Refused("4 wide", folder["h"]);
        File.Delete(folder["h/3.safetensors"]);
        Refused("chunk 3 should come after 2.safetensors, but 4.safetensors", folder["h"]);
    }

    public static readonly TheoryData<string> Layouts = ["npy", "openmoss", "numbered", "saev", "arrow"];

    static string Write(TemporaryFolder folder, string layout)
    {
        Directory.CreateDirectory(folder["s"]);
        if (layout == "npy") Npy(folder["s/x.npy"], "<f4", Rows(0, 192, 4), 64, 3, 4);
        else if (layout == "openmoss")
            for (var i = 0; i < 4; i++)
                OpenMossChunk(folder[$"s/chunk-{i:00000000}.safetensors"], 16, 48 * i,
                    [.. Enumerable.Range(0, 48).Select(r => (byte)(r % 3))]);
        else if (layout == "numbered")
            for (var i = 0; i < 4; i++)
                SafetensorsWriter.Write(folder[$"s/{i}.safetensors"],
                    [Tensor("x", "F32", [48, 4], Rows(48 * i, 48, 4))]);
        else if (layout == "saev") SaevTests.Write(folder, "s", [32, 32, 9], 32);
        else
            for (var i = 0; i < 2; i++)
                File.WriteAllBytes(folder[$"s/data-{i:00000}-of-00002.arrow"],
                    new ArrowBytes { Contexts = [10, 14], Width = 4 }.Write());
        return folder["s"];
    }

    static float[] Row(ActivationSource source, long i)
    {
        var row = new float[source.Width];
        source.ReadRow(i, row);
        return row;
    }

    [Theory, MemberData(nameof(Layouts))]
    public void EveryStoreTrainsTheSaeOfTheSameRowsInNpy(string layout)
    {
        using var folder = new TemporaryFolder();
        using var store = Open(Write(folder, layout), layout == "saev" ? "layer=13" : null);
        Npy(folder["flat.npy"], "<f4", Enumerable.Range(0, (int)store.Rows).SelectMany(i => Row(store, i)).ToArray(),
            store.Rows, 4);
        using var flat = Open(folder["flat.npy"]);
        Assert.InRange(store.Rows, 128, 300);
        var (weights, loss) = Train(store);
        Assert.Equal(Train(flat).Weights, weights);
        Assert.True(loss.Last() < loss.First(), string.Join(" ", loss));
    }

    /// <summary>Rows read several at once equal the same rows read singly, across masks, batches, examples and files,
    /// alone or beside another source's rows.</summary>
    [Theory, MemberData(nameof(Layouts))]
    public void RowsReadTogetherEqualRowsReadSingly(string layout)
    {
        using var folder = new TemporaryFolder();
        var path = Write(folder, layout);
        var choice = layout == "saev" ? "layer=13" : null;
        using var store = Open(path, choice);
        using var joined = ActivationSource.Join(Open(path, choice), Open(path, choice));
        foreach (var source in new[] { store, joined })
        {
            byte[] single = new byte[source.RowBytes], one = new byte[source.Rows * source.RowBytes],
            together = new byte[one.Length];
            for (var i = 0; i < source.Rows; i++)
            {
                source.Read(i, single);
                single.CopyTo(one, i * source.RowBytes);
            }
            for (long first = 0, count = 1; first < source.Rows; first += count,
                count = Math.Min(3 * count + 1, source.Rows - first))
                source.ReadRows(first, together.AsSpan((int)first * source.RowBytes, (int)count * source.RowBytes));
            Assert.Equal(one, together);
        }
    }

    static (float[] Weights, double[] Loss) Train(ActivationSource source)
    {
        var spec = new SaeSpec { InputWidth = 4, Latents = 16, Selection = new Selection.TopK(2) };
        var config = new TrainConfig { BatchRows = 16, Vectors = 16 * 60, LogEvery = 1, LearningRate = 1e-2f };
        using var backend = new CpuBackend(spec, config, source.Type);
        var statistics = new DataStatistics(source, source.Rows, config.Seed);
        var scale = Scaling.Measure(statistics, config);
        using var parameters = new SaeParameters(spec);
        Initialization.Fill(parameters, spec, config, statistics, scale);
        backend.SetParameters(parameters);
        var losses = new RecordingObserver();
        new Trainer(backend, source, source.Rows, scale, null,
            losses).Run(default, TestContext.Current.CancellationToken);
        backend.GetParameters(parameters);
        return ([.. Enumerable.Range(0, 16).SelectMany(f => parameters.WDec[f].ToArray())],
            [.. losses.Reports.Chunk(10).Select(c => c.Average(m => m.Fvu!.Value))]);
    }

    /// <summary>An epoch over a store of many shards returns every row once, mixes neighbours from all shards, and
    /// keeps each row's token with it.</summary>
    [Fact]
    public void ShufflingMixesShardsAndKeepsTokens()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["c"]);
        const int Chunks = 16, PerChunk = 48;
        for (var i = 0; i < Chunks; i++) OpenMossChunk(folder[$"c/chunk-{i:00000000}.safetensors"], 16, i * PerChunk);
        using var source = Open(folder["c"]);
        var config = new TrainConfig { BatchRows = 64, Vectors = Chunks * PerChunk };
        var spec = new SaeSpec { InputWidth = 4, Latents = 16, Selection = new Selection.TopK(2) };
        using var backend = new CpuBackend(spec, config, source.Type);
        using var feeder = new BatchFeeder(source, source.Rows, backend, config);
        var fed = new List<int>();
        for (var t = 0; t < Chunks * PerChunk / 64; t++)
        {
            var slot = MemoryMarshal.Cast<byte, float>(backend.InputSlot(feeder.Next(out _)));
            for (var b = 0; b < 64; b++) fed.Add((int)slot[4 * b]);
            // 64 rows miss one of 16 shards with probability 0.02
            Assert.True(fed.TakeLast(64).Select(r => r / PerChunk).Distinct().Count() >= Chunks - 4);
            feeder.Release();
        }
        Assert.Equal(Enumerable.Range(0, Chunks * PerChunk), fed.Order());
        Assert.InRange(fed.Zip(fed.Skip(1), (a, b) => Math.Abs(a - b)).Average() / fed.Count, 0.28, 0.39);
        foreach (var row in fed) Assert.Equal((row, 100 + row), (First(source, row), source.Token(row)));
    }

    [Collection("alone")]
    public class Alone
    {
        /// <summary>A store of 64 GiB takes memory only for the rows that are read: the file has a hole, and the
        /// process does not grow by its size.</summary>
        [Fact]
        public void StoresLargerThanMemoryUseMemoryOnlyForTheRowsRead()
        {
            Assert.SkipUnless(OperatingSystem.IsLinux(), "the test needs a file with a hole, and /proc");
            using var folder = new TemporaryFolder();
            const long Count = 1L << 24;
            using (var stream = File.Create(folder["x.npy"]))
            {
                stream.Write(NpyFile.MakeHeader("<f4", Count, 1024));
                stream.SetLength(stream.Position + Count * 4096);
            }
            using var source = Open(folder["x.npy"]);
            var config = new TrainConfig { BatchRows = 64, Vectors = 256 };
            using var backend = new CpuBackend(new SaeSpec
            {
                InputWidth = 1024, Latents = 16,
                Selection = new Selection.TopK(2)
            },
                config, source.Type);
            var before = ResidentKiB();
            using var feeder = new BatchFeeder(source, source.Rows, backend, config);
            for (var t = 0; t < 4; t++)
            {
                Assert.False(backend.InputSlot(feeder.Next(out _)).ContainsAnyExcept((byte)0));
                feeder.Release();
            }
            Assert.InRange(ResidentKiB() - before, -1_000_000, 64 * 1024);
        }

        static long ResidentKiB() =>
            long.Parse(File.ReadLines("/proc/self/status").First(l => l.StartsWith("VmRSS", StringComparison.Ordinal))
                .Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2]);
    }
}
