using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>The options of a command that several ranks run.</summary>
sealed class RankOptions
{
    const string Ranks = "--ranks", Off = "off";

    readonly Option<RankMode> mode = Options.New(Ranks,
        "auto: the processes that mpirun, mpiexec, srun, torchrun or a Kubernetes job start train one SAE together, "
            + "each with a part of its latents; off: every process trains alone",
        RankMode.Auto);
    readonly Option<SumOrder?> order = Options.Choice<SumOrder>("--sum-order",
        "how ranks add reconstructions. chain is the order of the CPU and has the bits of one process. ordered is the "
            + "order of GPUs; it adds on all ranks at once, and its bits depend on the number of ranks and of ranks on "
            + "a machine. fixed adds integers on the CPU, and its bits are the same for every number of ranks");
    readonly Option<bool> shared = Options.Flag("--shared-reading",
        "let each rank read only its share of the rows of a batch, and send them to the others. The bits are the same; "
            + "a rank reads less, and has no pool of rows on its GPU");
    readonly Option<int> chunks = Options.New("--row-chunks",
        "chunks of rows in a batch, for TopK on several GPUs, which exchange a chunk while they encode the next one; "
            + "1 exchanges all rows after encoding. The bits are the same",
        1, 1, MostChunks);
    readonly Option<int> timeout = Options.New("--collective-timeout",
        "seconds after which a rank that waits for the others ends with exit code 75; a wait before the first step or "
            + "for files may last 1800 s; 0: no limit",
        (int)Watchdog.Standard.TotalSeconds, 0, LongestTimeout);

    const int LongestTimeout = 1_000_000, MostChunks = 4096;

    /// <summary>The options, which are not settings of a run.</summary>
    public Option[] All => [mode, order, shared, chunks, timeout];

    /// <summary>Returns whether a command line that may not be valid makes each process train alone.</summary>
    public static bool IsOff(IReadOnlyList<string> arguments) =>
        arguments.Contains($"{Ranks}={Off}") || arguments.Zip(arguments.Skip(1)).Contains((Ranks, Off));

    public void AddTo(Command command)
    {
        foreach (var option in All) command.Add(option);
    }

    /// <summary>Runs a command on all ranks (<see cref="RunRanks.Run"/>).</summary>
    /// <param name="backend">The option of the backend.</param>
    /// <param name="folder">The folder of a run that may be resumed; null for a new run.</param>
    public int Run(ParseResult parsed, Option<BackendKind> backend, string? folder, Func<RunRanks, int> command) =>
        RunRanks.Run(parsed.GetValue(mode), SettingsOf(parsed), TimeSpan.FromSeconds(parsed.GetValue(timeout)),
            () => BackendOf(parsed, backend, folder), command);

    RankSettings SettingsOf(ParseResult parsed) => new(parsed.GetValue(order), parsed.GetValue(shared),
        parsed.GetValue(chunks));

    /// <summary>Returns the backend of a run before its ranks are connected.</summary>
    static BackendKind BackendOf(ParseResult parsed, Option<BackendKind> backend, string? folder)
    {
        if (Settings.Given(parsed, backend) || folder is null
            || !File.Exists(Path.Combine(folder, RunRecord.FileName)))
            return parsed.GetValue(backend);
        try { return Enum.Parse<BackendKind>(RunRecord.Load(folder).Backend); }
        catch (SaeException) { return BackendKind.Auto; }       // the command refuses the record
    }
}
