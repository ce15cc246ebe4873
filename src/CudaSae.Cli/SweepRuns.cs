using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Runs;
using CudaSae.Training;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>The runs of a group: begun or restored from their folders, saved and measured when they end.</summary>
sealed class SweepRuns : IDisposable
{
    readonly DataFiles files;
    readonly SweepRecord sweep;
    readonly string folder;
    readonly BackendKind kind;
    readonly Action<SweepMember, SweepOutcome> ended;
    readonly Dictionary<SharedRun, (SweepMember Member, MemberObserver Observer, FolderLock Lock)> runs = [];
    readonly MemberObserver.Lines lines = new();
    SweepMember? restoring;     // whose checkpoints are read
    TrainingStart? start;       // of the first that begins: all of a group look at the same rows

    public SweepRuns(SweepGroup group, DataFiles files, SweepRecord sweep, string folder, BackendKind kind,
        Action<SweepMember, SweepOutcome> ended, Action<SweepMember, SaeException> postponed)
    {
        (this.files, this.sweep, this.folder, this.kind, this.ended) = (files, sweep, folder, kind, ended);
        try
        {
            foreach (var member in group.Members)
                try { Add(member); }
                catch (SaeException e) when (SharedRuns.IsItsOwn(e)) { Failed(member, e, 0); }
                catch (SaeException e) when (IsPostponed(e, member, group.Members.Length)) { postponed(member, e); }
        }
        catch
        {
            Dispose();
            throw;
        }
        start = null;       // its sample of the data is of no use any more
        All = [.. runs.Keys];
    }

    public SharedRun[] All { get; }

    /// <summary>Whether a member alone has no room, or all its checkpoints are damaged.</summary>
    bool IsPostponed(SaeException e, SweepMember member, int together) =>
        e.Kind == SaeErrorKind.Memory && together == 1 || e.Kind == SaeErrorKind.Files && restoring == member;

    void Add(SweepMember member)
    {
        var own = Path.Combine(folder, member.Name);
        var folderLock = RunFolder.Resume(own);
        try
        {
            var resumes = Checkpoint.Exists(own);
            var record = resumes ? Check(member, RunRecord.Load(own)) : Begin(member, own);
            var backend = BackendFactory.Create(kind, member.Spec, member.Config, files.Source.Type,
                static (_, _) => { }, out _);
            var runner = new Runner(backend, files.Source, files.TrainRows,
                new(record.InputScale, record.Variance, record.TargetScale));
            try
            {
                restoring = resumes ? member : null;
                if (resumes) runner.Resume(own, Console.WriteLine);
                else runner.Begin(StartOf(member));
                restoring = null;
                var observer = new MemberObserver(own, member.Name, member.Config, lines);
                runs.Add(new(runner, own, observer), (member, observer, folderLock));
            }
            catch
            {
                runner.Dispose();
                throw;
            }
        }
        catch
        {
            folderLock.Dispose();
            throw;
        }
    }

    TrainingStart StartOf(SweepMember member) => start is null
        ? Warned(start = new(files.Source, files.TrainRows, member.Spec, member.Config))
        : new(start, member.Spec, member.Config);

    static TrainingStart Warned(TrainingStart start)
    {
        if (start.Warning is { } warning) Console.WriteLine(warning);
        return start;
    }

    RunRecord Begin(SweepMember member, string own)
    {
        Empty(own);
        var scale = StartOf(member).Scale;
        var record = new RunRecord(member.Spec, member.Config, scale.InputScale, scale.Variance, sweep.Data,
            sweep.HeldOut, sweep.Tensor, files.TrainRows, kind.ToString(), Session.Version)
        {
            Beside = sweep.Beside, TargetScale = scale.TargetScale, Preset = member.Preset, Site = files.Source.Site,
            Fingerprint = files.Fingerprint,
        };
        record.Save(own);
        return record;
    }

    /// <summary>Removes what a member that was killed before its first checkpoint left.</summary>
    /// <exception cref="SaeException">The folder holds a finished SAE.</exception>
    static void Empty(string own)
    {
        if (SaeFormats.Recognize(own) is not null)
            throw new SaeException($"{own} holds a finished SAE but no checkpoint; "
                + "move it away, and the member is trained again");
        foreach (var entry in new DirectoryInfo(own).EnumerateFileSystemInfos())
            if (entry is DirectoryInfo { LinkTarget: null } below) below.Delete(recursive: true);
            else if (entry.Name != FolderLock.FileName) entry.Delete();
    }

    /// <exception cref="SaeException">The folder holds another run than the sweep says.</exception>
    RunRecord Check(SweepMember member, RunRecord record)
    {
        var (spec, config) =
            (SaeRecords.Write(member.Spec).ToJsonString(), SaeRecords.Write(member.Config).ToJsonString());
        if (SaeRecords.Write(record.Spec).ToJsonString() != spec
            || SaeRecords.Write(record.Config).ToJsonString() != config)
            throw new SaeException($"{Path.Combine(folder, member.Name)} holds another run than {SweepRecord.FileName} "
                + $"says of {member.Name}; move it away, and the member is trained again",
                kind: SaeErrorKind.Files);
        if (record.Fingerprint?.Difference(files.Fingerprint) is { } difference)
            throw new SaeException($"the data of {Path.Combine(folder, member.Name)} are not those that it began with: "
                + $"{difference}; put the old files back", kind: SaeErrorKind.Files);
        if (record.TrainRows != files.TrainRows)
            throw new SaeException($"the data of {folder} had {record.TrainRows} training rows and now have "
                + $"{files.TrainRows}; put the old files back",
                kind: SaeErrorKind.Files);
        return record;
    }

    public void Finish(SharedRun run)
    {
        var member = runs[run].Member;
        foreach (var note in run.Runner.Save(run.Folder!)) Console.WriteLine($"{member.Name}: {note}");
        run.Runner.Prune();
        var evaluation = files.HeldRows > 0 ? run.Runner.Evaluate(files.Held, files.FirstHeld, files.HeldRows) : null;
        GiveBack(run);
        ended(member, new(null, evaluation, Seconds(run)));
        Console.WriteLine($"{member.Name} is done" + (evaluation is not { } e ? ""
            : $": FVU {Ratio.Text(e.Fvu, "0.0000")}, L0 {e.L0:0.0}, silent {e.SilentPercent:0.00} %"));
    }

    public void Fail(SharedRun run, SaeException e)
    {
        var member = runs[run].Member;
        GiveBack(run);
        Failed(member, e, Seconds(run));
    }

    void Failed(SweepMember member, SaeException e, double seconds)
    {
        ended(member, new(e.Message, null, seconds));
        Console.WriteLine($"{member.Name} failed: {e.Message}");
    }

    static double Seconds(SharedRun run) =>
        run.Turns.TotalSeconds * (run.Steps > 0 ? (double)run.Runner.Backend.Config.Steps / run.Steps : 1);

    void GiveBack(SharedRun run)
    {
        if (!runs.Remove(run, out var kept)) return;
        kept.Observer.Dispose();
        run.Runner.Dispose();
        kept.Lock.Dispose();
    }

    public void Dispose()
    {
        foreach (var run in runs.Keys.ToArray()) GiveBack(run);
    }
}
