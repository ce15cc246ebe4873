using System.CommandLine;
using CudaSae.Distributed;

namespace CudaSae.Cli;

/// <summary>The options of a command that several ranks run.</summary>
sealed class RankOptions
{
    const string Ranks = "--ranks", Off = "off";

    readonly Option<RankMode> mode = Options.New(Ranks,
        "auto: the processes that mpirun, mpiexec or srun start train one SAE together, each with a part of its "
            + "latents; off: every process trains alone",
        RankMode.Auto);
    readonly Option<SumOrder> order = Options.New("--sum-order",
        "how ranks add reconstructions. chain has the bits of one process. ordered adds on all ranks at once, and its "
            + "bits depend on the number of ranks and of ranks on a machine. fixed adds integers, and its bits are the "
            + "same for every number of ranks",
        SumOrder.Chain);
    readonly Option<int> timeout = Options.New("--collective-timeout",
        "seconds after which a rank that waits for the others ends with exit code 75; a wait before the first step or "
            + "for files may last 1800 s; 0: no limit",
        (int)Watchdog.Standard.TotalSeconds, 0, LongestTimeout);

    const int LongestTimeout = 1_000_000;

    /// <summary>The options, which are not settings of a run.</summary>
    public Option[] All => [mode, order, timeout];

    /// <summary>Returns whether a command line that may not be valid makes each process train alone.</summary>
    public static bool IsOff(IReadOnlyList<string> arguments) =>
        arguments.Contains($"{Ranks}={Off}") || arguments.Zip(arguments.Skip(1)).Contains((Ranks, Off));

    public void AddTo(Command command)
    {
        foreach (var option in All) command.Add(option);
    }

    /// <inheritdoc cref="RunRanks.Run"/>
    public int Run(ParseResult parsed, Func<RunRanks, int> command) => RunRanks.Run(parsed.GetValue(mode),
        parsed.GetResult(order) is { Implicit: false } ? parsed.GetValue(order) : null,
        TimeSpan.FromSeconds(parsed.GetValue(timeout)), command);
}
