using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Runs;
using CudaSae.Training;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>The runs of a group: started or restored from their folders, then saved and evaluated when they
/// end.</summary>
sealed class SweepRuns : IDisposable
{
    readonly RunData data;
    readonly SweepRecord sweep;
    readonly string folder;
    readonly BackendKind kind;
    readonly Action<SweepMember, SweepOutcome> ended;
    readonly Dictionary<
        SharedRun, (SweepMember Member, TrainingRun Run, MemberObserver Observer, FolderLock Lock)> runs = [];
    readonly MemberObserver.Lines lines = new();
    SweepMember? restoring;     // the member whose checkpoints are being read
    TrainingStart? start;       // start of the first new run; all runs of a group share its rows

    public SweepRuns(SweepGroup group, RunData data, SweepRecord sweep, string folder, BackendKind kind,
        Action<SweepMember, SweepOutcome> ended, Action<SweepMember, SaeException> postponed)
    {
        (this.data, this.sweep, this.folder, this.kind, this.ended) = (data, sweep, folder, kind, ended);
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
        start = null;       // its sample of the data is no longer needed
        All = [.. runs.Keys];
    }

    public SharedRun[] All { get; }

    /// <summary>Whether an error belongs to a single member: it has too little memory, or all its checkpoints are
    /// damaged.</summary>
    bool IsPostponed(SaeException e, SweepMember member, int together) =>
        e.Kind == SaeErrorKind.Memory && together == 1 || e.Kind == SaeErrorKind.Files && restoring == member;

    void Add(SweepMember member)
    {
        var own = Path.Combine(folder, member.Name);
        var folderLock = RunFolder.Resume(own);
        try
        {
            var resumes = Checkpoint.Exists(own);
            var run = resumes ? new TrainingRun(Check(member, RunRecord.Load(own)), data, own) : New(member, own);
            try
            {
                run.Open(share: true);
                restoring = resumes ? member : null;
                run.Begin(line => Console.WriteLine(SettingSpelling.ForCommandLine(line)));
                restoring = null;
                var observer = new MemberObserver(own, member.Name, member.Config, lines);
                runs.Add(new(run.Runner, own, observer), (member, run, observer, folderLock));
            }
            catch
            {
                run.Dispose();
                throw;
            }
        }
        catch
        {
            folderLock.Dispose();
            throw;
        }
    }

    TrainingRun New(SweepMember member, string own)
    {
        Empty(own);
        var run = TrainingRun.New(data, member.Spec, member.Config, kind, own, new(member.Preset), start);
        start ??= run.Measured;
        return run;
    }

    /// <summary>Removes the files of a member that was killed before its first checkpoint.</summary>
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

    /// <exception cref="SaeException">The folder holds a different run from the one that the sweep lists.</exception>
    RunRecord Check(SweepMember member, RunRecord record)
    {
        var own = Path.Combine(folder, member.Name);
        var (spec, config) =
            (SaeRecords.Write(member.Spec).ToJsonString(), SaeRecords.Write(member.Config).ToJsonString());
        if (SaeRecords.Write(record.Spec).ToJsonString() != spec
            || SaeRecords.Write(record.Config).ToJsonString() != config)
            throw new SaeException($"{own} does not hold the run that {SweepRecord.FileName} lists "
                + $"as {member.Name}; move it away, and the member is trained again",
                kind: SaeErrorKind.Files);
        data.RequireThoseOf(own, record);
        return record;
    }

    public void Finish(SharedRun run)
    {
        var (member, own, _, _) = runs[run];
        foreach (var note in run.Runner.Save(run.Folder!)) Console.WriteLine($"{member.Name}: {note}");
        run.Runner.Prune();
        var evaluation = data.Held.Count > 0 ? own.Evaluate() : null;
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
        Console.WriteLine($"{member.Name} failed: {SettingSpelling.ForCommandLine(e.Message)}");
    }

    static double Seconds(SharedRun run) =>
        run.Turns.TotalSeconds * (run.Steps > 0 ? (double)run.Runner.Backend.Config.Steps / run.Steps : 1);

    void GiveBack(SharedRun run)
    {
        if (!runs.Remove(run, out var kept)) return;
        kept.Observer.Dispose();
        kept.Run.Dispose();
        kept.Lock.Dispose();
    }

    public void Dispose()
    {
        foreach (var run in runs.Keys.ToArray()) GiveBack(run);
    }
}
