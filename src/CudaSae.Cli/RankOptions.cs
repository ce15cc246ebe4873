using System.CommandLine;
using CudaSae.Distributed;

namespace CudaSae.Cli;

/// <summary>The options of a command that several ranks run.</summary>
sealed class RankOptions
{
    readonly Option<RankMode> mode = Options.New("--ranks",
        "auto: the processes that mpirun, mpiexec or srun start train one SAE together, each with a part of its "
            + "latents; off: every process trains alone",
        RankMode.Auto);
    readonly Option<SumOrder> order = Options.New("--sum-order",
        "how ranks add reconstructions. chain: the bits of one process. ordered: all ranks add at once; the bits "
            + "depend on the number of ranks. fixed: in integers; the bits are the same for every number of ranks",
        SumOrder.Chain);

    /// <summary>The options, which are not settings of a run.</summary>
    public Option[] All => [mode, order];

    public void AddTo(Command command)
    {
        foreach (var option in All) command.Add(option);
    }

    /// <inheritdoc cref="RunRanks.Run"/>
    public int Run(ParseResult parsed, Func<RunRanks, int> command) => RunRanks.Run(parsed.GetValue(mode),
        parsed.GetResult(order) is { Implicit: false } ? parsed.GetValue(order) : null, command);
}
