using CudaSae.Backends;
using CudaSae.Checkpoints;
using CudaSae.Insight;
using CudaSae.Training;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>One sweep from its record to its table: groups of members that share their batches, one after another.</summary>
sealed class SweepSession : IDisposable
{
    readonly DataFiles files;
    readonly SweepRecord record;
    readonly string folder;
    readonly BackendKind kind;
    readonly Dictionary<SweepMember, SweepOutcome> outcomes = [];

    SweepSession(DataFiles files, SweepRecord record, string folder) =>
        (this.files, this.record, this.folder, kind) = (files, record, folder, Enum.TryParse<BackendKind>(record.Backend, out var named) ? BackendFactory.Chosen(named)
            : throw new SaeException($"{folder}/{SweepRecord.FileName} names a backend '{record.Backend}', which there is not"));

    public static SweepSession Start(DataFiles files, SweepMember[] members, string[] refused, BackendKind kind, int together, string? output)
    {
        var folder = output ?? Path.Combine("sweeps", DateTime.Now.ToString("yyyy-MM-dd_HH-mm-ss"));
        if (File.Exists(Path.Combine(folder, SweepRecord.FileName))) throw new SaeException($"{folder} already holds a sweep; choose another --out, or go on with --resume {folder}");
        var taken = members.FirstOrDefault(m => File.Exists(Path.Combine(folder, m.Name, RunRecord.FileName)));
        if (taken is not null) throw new SaeException($"{Path.Combine(folder, taken.Name)} already holds a run that is of no sweep; choose another --out");
        var record = new SweepRecord(members, refused, [.. files.Paths.Select(Path.GetFullPath)], [.. files.Beside.Select(Path.GetFullPath)],
            files.HeldOut is null || long.TryParse(files.HeldOut, out _) ? files.HeldOut
                : Path.GetFullPath(files.HeldOut), files.Tensor, ChosenBackend.Of(kind).ToString(), together,
            Session.Version);
        record.Save(folder);
        return new(files, record, folder);
    }

    /// <param name="together">Another number of SAEs that share their batches; null for the one it began with.</param>
    public static SweepSession Resume(string folder, int? together)
    {
        var record = SweepRecord.Load(folder);
        var sweep = new SweepSession(DataFiles.Open(record.Data, record.HeldOut, record.Tensor, record.Beside), record with { Together = together ?? record.Together }, folder);
        foreach (var member in record.Members)
            if (SweepOutcome.Load(sweep.FolderOf(member)) is { } outcome) sweep.outcomes[member] = outcome;
        return sweep;
    }

    string FolderOf(SweepMember member) => Path.Combine(folder, member.Name);

    public int Run()
    {
        foreach (var line in record.Refused) Console.WriteLine($"left out: {line}");
        Console.WriteLine($"{files.TrainRows} rows to train on, {files.HeldRows} held out, {files.Source.Width} wide, {files.Source.Type}");
        Console.WriteLine($"{record.Members.Length} SAEs{(outcomes.Count > 0 ? $", {outcomes.Count} of them done" : "")}");
        using (var interrupt = new Interrupt())
            foreach (var group in SweepGroups.Plan([.. record.Members.Where(m => !outcomes.ContainsKey(m))], kind, files.Source.Type, record.Together))
            {
                Console.WriteLine(group);
                if (Train(group, interrupt.Token)) continue;
                Console.WriteLine($"Stopped. Go on with: cudasae sweep --resume {folder}");
                return 130;
            }
        return Report();
    }

    /// <returns>False when interrupted.</returns>
    bool Train(SweepGroup group, CancellationToken cancellation)
    {
        using var runs = new SweepRuns(group, files, record, folder, kind, Ended);
        if (runs.All.Length == 0) return true;
        var shared = new SharedRuns(files.Source, files.TrainRows, runs.All, runs.Finish, runs.Fail);
        var finished = shared.Run(cancellation);
        if (shared.SkippedRows > 0) Console.WriteLine($"{shared.SkippedRows} rows with NaN or infinity were left out");
        return finished;
    }

    void Ended(SweepMember member, SweepOutcome outcome)
    {
        outcome.Save(FolderOf(member));
        outcomes[member] = outcome;
        SweepTable.WriteCsv(folder, record.Members, outcomes);
    }

    int Report()
    {
        SweepTable.WriteCsv(folder, record.Members, outcomes);
        SweepTable.Print(record.Members, outcomes);
        var points = SweepTable.Points(record.Members, outcomes);
        if (points.Count > 0)
        {
            var section = Pareto.Report(points, Yardsticks(), $"cudasae sweep --resume {folder}");
            section.Save(folder);
            Console.WriteLine(section.Figures[0].Finding);
        }
        var failed = record.Members.Where(m => outcomes[m].Error is not null).ToArray();
        foreach (var member in failed) Console.WriteLine($"{member.Name} failed: {outcomes[member].Error}");
        AnsiConsole.MarkupLineInterpolated($"Saved in [bold]{folder}[/]");
        return failed.Length > 0 ? 1 : 0;
    }

    (double[], double[])? Yardsticks()
    {
        var spec = record.Members[0].Spec;
        if (spec.OutputWidth > Pca.MaxWidth) return null;
        var first = spec.Transcoder is null ? 0 : spec.InputWidth;
        return new Pca(files.Source, files.TrainRows, first, spec.OutputWidth).Unexplained(files.Held, files.FirstHeld, files.HeldRows, first);
    }

    public void Dispose() => files.Dispose();
}
