using System.Diagnostics;

namespace CudaSae.Tests;

/// <summary>The program under a launcher: refusals of one line, and the collectives of two ranks.
/// tests/cluster/ranks.sh compares weights.</summary>
[Trait("speed", "slow")]
public class RanksCliTests
{
    const string OpenMpi = "/usr/bin/mpirun.openmpi", Mpich = "/usr/bin/mpiexec.hydra";

    static (int Code, string Output, string Error) Under(string variables, params string[] arguments)
    {
        var start = CliProgram.Start(arguments);
        foreach (var pair in variables.Split(' ').Select(word => word.Split('='))) start.Environment[pair[0]] = pair[1];
        return CliProgram.Run(start);
    }

    [Theory]
    [InlineData("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0", "torchrun started 2 ranks.*NCCL.*mpirun or srun", "train",
        "--backend", "cpu")]
    [InlineData("JOB_COMPLETION_INDEX=0 CUDASAE_RANKS=2", "Kubernetes started 2 ranks.*NCCL", "train", "--backend",
        "cpu")]
    [InlineData("SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2", "srun started 2 ranks.*without mpi=pmi2.*NCCL", "train",
        "--backend", "cpu")]
    [InlineData("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0", "does not state where rank 0 waits .MASTER_ADDR and MASTER_PORT",
        "train", "--backend", "emulator")]
    [InlineData("JOB_COMPLETION_INDEX=0 CUDASAE_RANKS=2", "where rank 0 waits .CUDASAE_ROOT", "train", "--backend",
        "emulator")]
    [InlineData("RANK=0 WORLD_SIZE=2", "without LOCAL_RANK", "train")]
    [InlineData("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0", "eval runs in one process, but torchrun started 2", "eval", "x")]
    [InlineData("SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2 CUDASAE_MPI=libnone.so",
        "srun started 2 ranks, but MPI cannot be loaded: libnone.so is not installed", "train", "--backend", "cpu")]
    public void ALauncherWithoutMpiIsRefusedInOneLine(string variables, string message, params string[] arguments)
    {
        var (code, output, error) = Under(variables, arguments);
        Assert.Equal((2, ""), (code, output));
        Assert.Matches(message, error);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Theory]
    [InlineData("devices"), InlineData("presets"), InlineData("train", "--help"), InlineData("--version")]
    public void CommandsThatOnlyShowRunUnderAnyLauncher(params string[] arguments) =>
        Assert.Equal((0, ""), Under("RANK=1 WORLD_SIZE=2 LOCAL_RANK=1", arguments) is var (code, _, error)
            ? (code, error) : default);

    [Fact]
    public void RanksOffTrainsAlone()
    {
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 300, 16);
        var (code, _, error) = Under("RANK=1 WORLD_SIZE=2 LOCAL_RANK=1", "train", data, "--out", folder["run"],
            "--latents", "64", "--k", "4", "--aux-k", "8", "--batch-rows", "32", "--vectors", "320", "--backend", "cpu",
            "--ranks", "off");
        Assert.Equal((0, ""), (code, error));
    }

    /// <summary>Every collective is right, and .NET still handles SIGSEGV.</summary>
    [Theory]
    [InlineData(OpenMpi, "--allow-run-as-root --oversubscribe -np 2")]
    [InlineData(OpenMpi, "--allow-run-as-root --oversubscribe --mca pml ucx --mca opal_common_ucx_tls any "
        + "--mca opal_common_ucx_devices any -np 2")]
    [InlineData(Mpich, "-n 2")]
    public void TheCollectivesOfTwoRanksAreRight(string launcher, string options)
    {
        Assert.SkipUnless(File.Exists(launcher), $"no {launcher} here");
        var start = CliProgram.StartBench("ranks");
        var (code, output, error) = CliProgram.Run(new ProcessStartInfo(launcher,
            [.. options.Split(' '), start.FileName, .. start.ArgumentList])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true
        });
        Assert.True(code == 0, error);
        Assert.Contains("2 ranks are right", output);
    }
}
