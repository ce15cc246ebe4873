using System.CommandLine;
using CudaSae.Cli;

namespace CudaSae.Bench.Tables;

/// <summary>cudasae-bench tables: writes what bench/results holds into the documents.</summary>
static class BenchTablesCommand
{
    public static Command Create()
    {
        var root = Options.New("--root", "the checkout", ".");
        var command = new Command("tables",
            "Write the measured tables of bench/results into README.md and docs/internals/benchmarks.md.") { root };
        command.SetAction(parsed =>
        {
            var folder = parsed.GetValue(root)!;
            if (!File.Exists(Path.Combine(folder, "CudaSae.sln")))
                throw new SaeException($"{Path.GetFullPath(folder)} is no checkout of CudaSae; name one with --root",
                    kind: SaeErrorKind.Files);
            var written = BenchTables.Update(folder);
            Console.WriteLine(written.Count == 0 ? "all tables are up to date"
                : $"written: {string.Join(", ", written)}");
            return 0;
        });
        return command;
    }
}
