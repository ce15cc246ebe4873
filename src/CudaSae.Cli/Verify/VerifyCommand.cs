using System.CommandLine;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;

namespace CudaSae.Cli;

/// <summary>The command cudasae verify compares every phase on this machine's targets with the double-precision
/// reference. It exits with 1 on a mismatch or an error.</summary>
static class VerifyCommand
{
    public static Command Create()
    {
        var backend = Settings.NewBackend("the backend to compare; auto for all of this machine");
        var schedules = Options.New("--schedules", "orders of blocks, threads and streams that the emulator tries", 1,
            1, 1 << 16);
        var only = Options.New("--case", "only cases whose name contains this", "");
        var later = new Option<string?>(VerifyProcesses.Option) { Hidden = true };
        var command = new Command("verify",
            "Compare every backend of this machine with the double-precision reference. The processes that mpirun, "
                + "mpiexec, srun, torchrun or a Kubernetes job start run each case together, and each holds a part of "
                + "the latents.")
        {
            backend, schedules, only, later,
        };
        command.SetAction(parsed => RunRanks.Run(RankMode.Auto, RankSettings.Default, Watchdog.Standard,
            () => parsed.GetValue(backend), all =>
        {
            var name = parsed.GetValue(only)!;
            VerifyCase[] cases = [.. VerifyCase.All.Where(c => c.Name.Contains(name, StringComparison.Ordinal))];
            if (cases.Length == 0) throw new SaeException($"--case {name}: no case has this in its name");
            using var targets = new VerifyTargets(parsed.GetValue(backend), parsed.GetValue(schedules), all.Collective);
            var first = parsed.GetValue(later) is null;
            var runs = targets.All.SelectMany(target => Runs(targets, target, cases, first)).ToArray();
            VerifyRun Open(Action<VerifyProgress> keep) => new(runs, keep, all.Collective);
            if (parsed.GetValue(later) is { } file) return VerifyProcesses.Later(file, Open);
            if (targets.NoGpu is { } why) Console.WriteLine($"cuda left out: {why}");
            if (all.Collective is { } ranks) Console.WriteLine($"ranks: {ranks.Description}");
            var end = all.Collective is null ? VerifyProcesses.First(Open) : VerifyProcesses.Only(Open);
            Console.WriteLine(end.Sentence);
            return end is { Differing: 0, Failed: 0 } ? 0 : 1;
        }));
        return command;
    }

    /// <summary>Returns the cases of a target, and prints those that its ranks cannot run.</summary>
    static IEnumerable<(VerifyTarget, VerifyCase)> Runs(VerifyTargets targets, VerifyTarget target,
        IEnumerable<VerifyCase> cases, bool prints)
    {
        foreach (var c in cases.Where(c => c.UsesTopKEncoder || !target.TopKOnly))
        {
            var fitted = targets.Fit(target, c, out var why);
            if (why.Length == 0) yield return (target, fitted);
            else if (prints) Console.WriteLine($"{target.Name}: {c.Name}: left out: {why}");
        }
    }
}
