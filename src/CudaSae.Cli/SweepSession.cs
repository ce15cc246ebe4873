using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Lab.Insight;
using CudaSae.Model;
using CudaSae.Runs;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>Runs one sweep from its record to its table. Groups of members that share their batches run one after
/// another.</summary>
sealed class SweepSession : IDisposable
{
    readonly RunData data;
    readonly SweepRecord record;
    readonly string folder;
    readonly FolderLock folderLock;
    readonly BackendKind kind;
    readonly Dictionary<SweepMember, SweepOutcome> outcomes = [];

    SweepSession(RunData data, SweepRecord record, string folder, FolderLock folderLock)
    {
        (this.data, this.record, this.folder, this.folderLock) = (data, record, folder, folderLock);
        kind = Enum.TryParse<BackendKind>(record.Backend, out var named) ? BackendFactory.Chosen(named)
            : throw new SaeException($"{folder}/{SweepRecord.FileName} names an unknown backend "
                + $"'{record.Backend}'");
        if (record.Members.FirstOrDefault(m => m.Spec.RowWidth != data.Source.Width) is { } other)
            throw new SaeException($"the data of {folder} are {data.Source.Width} wide, "
                + $"{other.Name} takes {other.Spec.RowWidth}; put the old files back", kind: SaeErrorKind.Files);
    }

    /// <param name="output">Folder of the sweep; null for a new one that is named by date and time.</param>
    public static SweepSession Start(RunData data, SweepMember[] members, string[] refused, BackendKind kind,
        int together, string? output)
    {
        var (folder, folderLock) = RunFolder.New(output, "sweeps");
        try
        {
            var taken = members.FirstOrDefault(m => File.Exists(Path.Combine(folder, m.Name, RunRecord.FileName)));
            if (taken is not null)
                throw new SaeException($"{Path.Combine(folder, taken.Name)} already holds a run that belongs to "
                    + "no sweep; choose another --out");
            var names = data.Names.Full();
            var record = new SweepRecord(members, refused, names.Data, names.Beside, names.HeldOut, names.Tensor,
                ChosenBackend.Of(kind).ToString(), together, TrainingRun.Version)
            { Fingerprint = data.Fingerprint };
            record.Save(folder);
            return new(data, record, folder, folderLock);
        }
        catch
        {
            folderLock.Dispose();
            throw;
        }
    }

    /// <param name="together">Another number of SAEs that share each batch; null to keep the number it began
    /// with.</param>
    /// <param name="moved">The new place of the same rows; null if they have not moved.</param>
    public static SweepSession Resume(string folder, int? together, MovedData? moved)
    {
        SweepRecord.Load(folder);       // throws before a lock is created in a folder without a sweep
        var folderLock = RunFolder.Resume(folder);
        RunData? data = null;
        try
        {
            var record = SweepRecord.Load(folder);
            var names = new DataNames(record.Data, record.Beside, record.HeldOut, record.Tensor);
            var now = moved?.Over(folder, names, record.Fingerprint) ?? names;
            data = RunData.Reopen(folder, now, record.Fingerprint, Console.WriteLine);
            string[] changes =
            [
                .. MovedData.Describe(names, now), .. data.Behind is { } behind ? [behind] : Array.Empty<string>(),
            ];
            foreach (var line in changes) Console.WriteLine(line);
            var resumed = record with
            {
                Together = together ?? record.Together,
                Data = now.Data,
                Beside = now.Beside,
                HeldOut = now.HeldOut,
                Changes = [.. record.Changes.Union(changes)],
            };
            var sweep = new SweepSession(data, resumed, folder, folderLock);
            foreach (var member in record.Members)
            {
                var own = sweep.FolderOf(member);
                if (SweepOutcome.Load(own) is { } outcome) sweep.outcomes[member] = outcome;
                if (changes.Length > 0 && File.Exists(Path.Combine(own, RunRecord.FileName))) Note(own, now, changes);
            }
            sweep.record.Save(folder);
            return sweep;
        }
        catch
        {
            data?.Dispose();
            folderLock.Dispose();
            throw;
        }
    }

    /// <summary>Writes the paths and the changes into the record of a member, which commands read on its own.</summary>
    static void Note(string own, DataNames now, string[] changes)
    {
        var run = RunRecord.Load(own);
        run = run with { Data = now.Data, Beside = now.Beside, HeldOut = now.HeldOut };
        (run with { Changes = [.. run.Changes.Union(changes)] }).Save(own);
    }

    string FolderOf(SweepMember member) => Path.Combine(folder, member.Name);

    public int Run()
    {
        foreach (var line in record.Refused) Console.WriteLine($"left out: {line}");
        Console.WriteLine($"{data.TrainRows} rows to train on, {data.Held.Count} held out, {data.Source.Width} wide, "
            + Forms.NameOf(data.Source.Type));
        Console.WriteLine($"{record.Members.Length} "
            + $"SAEs{(outcomes.Count > 0 ? $", {outcomes.Count} of them done" : "")}");
        using (var interrupt = new Interrupt())
            foreach (var group in SweepGroups.Plan(Open(), kind, data.Source.Type, record.Together, Postponed))
            {
                Console.WriteLine(group);
                if (Train(group, interrupt.Token)) continue;
                Console.WriteLine($"Stopped. Resume it with: cudasae sweep --resume {folder}");
                return interrupt.ExitCode;
            }
        return Report();
    }

    SweepMember[] Open() => [.. record.Members.Where(m => !outcomes.ContainsKey(m))];

    /// <summary>Reports a member that fails for lack of memory or damaged checkpoints. It is not marked as done, so the
    /// next --resume tries it again.</summary>
    void Postponed(SweepMember member, SaeException e)
    {
        outcomes[member] = new(e.Message, null, 0);
        Console.WriteLine($"{member.Name} failed: {SettingSpelling.ForCommandLine(e.Message)}");
    }

    /// <returns>False if interrupted.</returns>
    bool Train(SweepGroup group, CancellationToken cancellation)
    {
        using var runs = new SweepRuns(group, data, record, folder, kind, Ended, Postponed);
        if (runs.All.Length == 0) return true;
        var shared = new SharedRuns(data.Source, data.TrainRows, runs.All, runs.Finish, runs.Fail);
        var finished = shared.Run(cancellation);
        if (shared.SkippedRows > 0) Console.WriteLine($"{shared.SkippedRows} rows with NaN or infinity were left out");
        return finished;
    }

    void Ended(SweepMember member, SweepOutcome outcome)
    {
        outcome.Save(FolderOf(member));
        outcomes[member] = outcome;
        SweepTable.WriteCsv(folder, record, outcomes);
    }

    int Report()
    {
        SweepTable.WriteCsv(folder, record, outcomes);
        SweepTable.Print(record, outcomes);
        var points = SweepTable.Points(record.Members, outcomes);
        if (points.Count > 0)
        {
            var chapter = Pareto.Report(points, Yardsticks(), $"cudasae sweep --resume {folder}");
            chapter.Save(folder);
            Console.WriteLine(chapter.Figures[0].Finding);
        }
        var failed = record.Members.Where(m => outcomes[m].Error is not null).ToArray();
        foreach (var member in failed) Console.Error.WriteLine(
                $"cudasae: {member.Name}: {SettingSpelling.ForCommandLine(outcomes[member].Error!)}");
        foreach (var line in record.Refused) Console.Error.WriteLine($"cudasae: {line}");
        StyledText.Line($"Saved in [bold]{folder}[/]");
        return failed.Length + record.Refused.Length > 0 ? 1 : 0;
    }

    (double[], double[])? Yardsticks()
    {
        var spec = record.Members[0].Spec;
        if (spec.OutputWidth > Pca.MaxWidth) return null;
        var first = spec.Transcoder is null ? 0 : spec.InputWidth;
        return new Pca(data.Source, data.TrainRows, first,
            spec.OutputWidth).Unexplained(data.Held, first);
    }

    public void Dispose()
    {
        data.Dispose();
        folderLock.Dispose();
    }
}
