using System.CommandLine;
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
            "Compare every backend of this machine with the double-precision reference.")
        {
            backend, schedules, only, later,
        };
        command.SetAction(parsed =>
        {
            var name = parsed.GetValue(only)!;
            VerifyCase[] cases = [.. VerifyCase.All.Where(c => c.Name.Contains(name, StringComparison.Ordinal))];
            if (cases.Length == 0) throw new SaeException($"--case {name}: no case has this in its name");
            using var targets = new VerifyTargets(parsed.GetValue(backend), parsed.GetValue(schedules));
            var runs = targets.All.SelectMany(target => Runs(target, cases)).ToArray();
            VerifyRun Open(Action<VerifyProgress> keep) => new(runs, keep);
            if (parsed.GetValue(later) is { } file) return VerifyProcesses.Later(file, Open);
            if (targets.NoGpu is { } why) Console.WriteLine($"cuda left out: {why}");
            var end = VerifyProcesses.First(Open);
            Console.WriteLine(end.Sentence);
            return end is { Differing: 0, Failed: 0 } ? 0 : 1;
        });
        return command;
    }

    static IEnumerable<(VerifyTarget, VerifyCase)> Runs(VerifyTarget target, IEnumerable<VerifyCase> cases) =>
        cases.Where(c => c.UsesTopKEncoder || !target.TopKOnly).Select(c => (target, c));
}
