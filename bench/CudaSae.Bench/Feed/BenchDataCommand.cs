using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends.Cpu;
using CudaSae.Cli;
using CudaSae.Feeding;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Bench.Feed;

/// <summary>cudasae-bench data: how fast rows come from files, in the files' order, as the feeder shuffles them, and by
/// blocks for a pool on a device, when no other work needs time.</summary>
static class BenchDataCommand
{
    const int LeastRepeats = 20, Group = 8;      // batches that are timed together: one may lie ready already

    public static Command Create()
    {
        var files = new Argument<string[]>("files")
        {
            Description = "activation files or folders; none for random numbers in a file of this call",
            Arity = ArgumentArity.ZeroOrMore
        };
        var width = Options.New("--input-width", "d of the random numbers", 512, 1, 1 << 20);
        var count = Options.New("--rows", "rows of the random numbers", 131_072, 1, int.MaxValue);
        var batchRows = Options.New("--batch-rows", "B", 1024, 1, 1 << 20);
        var repeats = Options.New("--repeats", "timed groups of 8 batches, at least 20", 20, 1, 1 << 20);
        var readers = Options.New("--readers", "threads that read blocks", Environment.ProcessorCount, 1, 1 << 10);
        var window = Options.New("--shuffle-window", "rows of a window; 0 for an eighth of all", 0L, 0L, long.MaxValue);
        var csv = Options.New("--csv", "also write the rows into this file", "");
        var command = new Command("data", "Time the reading and shuffling of activation files.") { files, width, count,
            batchRows, repeats, readers, window, csv };
        command.SetAction(parsed =>
        {
            var folder = parsed.GetValue(files)!.Length == 0 ? Directory.CreateTempSubdirectory("cudasae") : null;
            try
            {
                using var source = Cli.Activations.Open(folder is null ? parsed.GetValue(files)!
                    : [Random(folder, parsed.GetValue(count), parsed.GetValue(width))]);
                var (b, times) = ((int)Math.Min(source.Rows, parsed.GetValue(batchRows)),
                    Math.Max(LeastRepeats, parsed.GetValue(repeats)));
                BenchRow[] rows = [Run("read in order", source, b, times, InOrder),
                    Run("feeder, shuffled", source, b, times, Shuffled),
                    .. FeedBench.Run(source, b, times, Math.Max(1, parsed.GetValue(readers)), parsed.GetValue(window))];
                var machine = BenchMachines.Host();
                // A batch is read once and written once: what a copy of as many bytes does.
                rows = [.. rows.Select(row =>
                    row with { FloorMs = row.Bytes / machine.Ceilings!.Value.CopyGigabytes / 1e6 })];
                BenchTable.Print(machine, rows);
                if (parsed.GetValue(csv) is { Length: > 0 } path)
                    BenchCsv.Write(path, rows.Select(row => (machine, row)));
                return rows.Any(row => row.Repeatable == false) ? 1 : 0;
            }
            finally
            {
                folder?.Delete(recursive: true);
            }
        });
        return command;
    }

    static BenchRow Run(string name, ActivationSource source, int batchRows, int repeats,
        Func<ActivationSource, int, int, (List<double> Ms, ulong Hash)> read)
    {
        var (first, second) = (read(source, batchRows, repeats), read(source, batchRows, repeats));
        return new()
        {
            Bench = "data", Name = name, Shape = new(batchRows, source.Width, 0, 0), Time = Timing.Of(second.Ms),
            Bytes = 2.0 * batchRows * source.RowBytes, Tokens = batchRows,
            Checksum = (first.Hash, second.Hash), Note = $"{source.Type}, {source.Rows} rows",
        };
    }

    static (List<double>, ulong) InOrder(ActivationSource source, int batchRows, int repeats)
    {
        var (batch, row, hash, times) =
            (new byte[(long)batchRows * source.RowBytes], 0L, new OutputHash(), new List<double>());
        for (var repeat = 0; repeat < repeats * Group; repeat++)
        {
            var start = Stopwatch.GetTimestamp();
            for (var b = 0; b < batchRows; b++, row = (row + 1) % source.Rows)
                source.Read(row, batch.AsSpan(b * source.RowBytes, source.RowBytes));
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            hash.Add(batch);
        }
        return (times, hash.Value);
    }

    /// <summary>Batches are taken as fast as they come: the feeder's own speed. The hash is of a second pass over the
    /// same batches, so that it takes no time from the first.</summary>
    static (List<double>, ulong) Shuffled(ActivationSource source, int batchRows, int repeats)
    {
        var spec = new SaeSpec { InputWidth = source.Width, Latents = 64, Selection = new Selection.TopK(1) };
        var config = new TrainConfig { BatchRows = batchRows, Vectors = Math.Max(source.Rows, batchRows) };
        var (times, hash) = (new List<double>(), new OutputHash());
        foreach (var hashes in new[] { false, true })
        {
            using var backend = new CpuBackend(spec, config, source.Type);
            using var feeder = new BatchFeeder(source, source.Rows, backend, config);
            feeder.Next(out _);     // the first waits for the thread
            for (var repeat = 0; repeat < repeats; repeat++)
            {
                var start = Stopwatch.GetTimestamp();
                for (var batch = 0; batch < Group; batch++)
                {
                    feeder.Release();
                    var slot = feeder.Next(out _);
                    if (hashes) hash.Add(backend.InputSlot(slot));
                }
                if (!hashes) times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds / Group);
            }
        }
        return (times, hash.Value);
    }

    static string Random(DirectoryInfo folder, int rows, int width)
    {
        var path = Path.Combine(folder.FullName, "random.npy");
        using var stream = File.Create(path);
        stream.Write(NpyFile.MakeHeader("<f4", rows, width));
        var row = new float[width];
        for (var b = 0; b < rows; b++)
        {
            for (var i = 0; i < width; i++)
                row[i] = (float)(CounterRandom.Of((uint)b, (uint)i) * (1.0 / 4294967296) - 0.5);
            stream.Write(MemoryMarshal.AsBytes<float>(row));
        }
        return path;
    }
}
