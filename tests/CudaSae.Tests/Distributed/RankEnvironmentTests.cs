using CudaSae.Distributed;

namespace CudaSae.Tests;

/// <summary>The place of a process, from the variables that launchers set.</summary>
public class RankEnvironmentTests
{
    static RankEnvironment? Of(string variables) => RankEnvironment.Of(Variables(variables));

    static Dictionary<string, string> Variables(string text) =>
        text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(word => word.Split('=', 2))
            .ToDictionary(pair => pair[0], pair => pair[1]);

    const string OpenMpi = "OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=1 "
        + "OMPI_COMM_WORLD_LOCAL_SIZE=2",
        Hydra = "PMI_RANK=2 PMI_SIZE=3 MPI_LOCALRANKID=2 MPI_LOCALNRANKS=3",
        Slurm = "SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1 SLURM_NTASKS=8 SLURM_NODEID=2 "
            + "SLURM_STEP_TASKS_PER_NODE=2(x3),1(x2)",
        Torchrun = "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2";

    [Theory]
    [InlineData(OpenMpi, "mpirun", 3, 4, 1, 2)]
    [InlineData(Hydra, "mpiexec", 2, 3, 2, 3)]
    [InlineData("PMI_RANK=0 PMI_SIZE=1", "mpiexec", 0, 1, 0, 0)]
    [InlineData(Slurm, "srun", 5, 8, 1, 2)]
    [InlineData(Torchrun, "torchrun", 1, 2, 1, 2)]
    [InlineData("RANK=1 WORLD_SIZE=2 LOCAL_RANK=0", "torchrun", 1, 2, 0, 0)]
    [InlineData("JOB_COMPLETION_INDEX=3 CUDASAE_RANKS=4", "Kubernetes", 3, 4, 0, 1)]
    [InlineData("JOB_COMPLETION_INDEX=1 CUDASAE_RANKS=8 CUDASAE_LOCAL_RANK=2 CUDASAE_LOCAL_RANKS=4", "Kubernetes", 6,
        8, 2, 4)]
    // A launcher inside a job of another one
    [InlineData($"{OpenMpi} {Slurm}", "mpirun", 3, 4, 1, 2)]
    [InlineData($"{Hydra} {Slurm}", "mpiexec", 2, 3, 2, 3)]
    [InlineData($"{Torchrun} {OpenMpi}", "torchrun", 1, 2, 1, 2)]
    // srun --mpi=pmi2 sets the variables of both
    [InlineData($"PMI_RANK=5 PMI_SIZE=8 {Slurm}", "srun", 5, 8, 1, 2)]
    // A script sets the variables of torchrun from those of mpirun
    [InlineData($"RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 {OpenMpi}", "mpirun", 3, 4, 1, 2)]
    // A pod whose operator numbers the machines
    [InlineData($"RANK=0 WORLD_SIZE=2 {OpenMpi}", "mpirun", 3, 4, 1, 2)]
    public void ALauncherIsFound(string variables, string launcher, int rank, int size, int localRank, int localSize)
    {
        var place = Of(variables);
        Assert.Equal(new(launcher, rank, size, localRank, localSize), place);
        Assert.Equal(launcher is "mpirun" or "mpiexec" or "srun", place!.StartsMpi);
    }

    [Theory]
    [InlineData("")]
    [InlineData("RANK=4")]
    [InlineData("RANK=0 WORLD_SIZE=1")]
    [InlineData("OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=")]
    [InlineData("SLURM_PROCID=0 SLURM_NTASKS=4")]           // the script of a batch job
    [InlineData("JOB_COMPLETION_INDEX=2")]                  // a job of separate runs
    [InlineData($"CUDASAE_RANKS=off {OpenMpi}")]
    public void OneProcessHasNoLauncher(string variables) => Assert.Null(Of(variables));

    [Theory]
    [InlineData("RANK=0 WORLD_SIZE=4", "without LOCAL_RANK.*number the machines.*CUDASAE_RANKS=off")]
    [InlineData("PMI_RANK=two PMI_SIZE=3", "PMI_RANK = two is not a number")]
    [InlineData("PMI_RANK=3 PMI_SIZE=3", "mpiexec states rank 3 of 3 ranks")]
    [InlineData("JOB_COMPLETION_INDEX=4 CUDASAE_RANKS=4", "Kubernetes states rank 4 of 4 ranks")]
    public void AContradictionIsRefused(string variables, string message) =>
        Assert.Matches(message, Assert.Throws<SaeException>(() => Of(variables)).Message);

    [Theory]
    [InlineData(0, 2), InlineData(2, 2), InlineData(3, 1), InlineData(4, 1), InlineData(5, 0)]
    public void SlurmsListGivesTheTasksOfANode(int node, int tasks) =>
        Assert.Equal(tasks, Of(Slurm.Replace("NODEID=2", $"NODEID={node}"))!.LocalSize);

    [Theory]
    [InlineData(OpenMpi, "libmpi.so.40")]
    [InlineData(Hydra, "libmpi.so.12")]
    [InlineData("PMI_FD=4 SLURM_PROCID=0", "libmpi.so.12")]
    [InlineData("PMIX_RANK=0 SLURM_PROCID=0", "libmpi.so.40")]
    [InlineData("", "libmpi_abi.so.1")]
    [InlineData($"CUDASAE_MPI=/opt/mpi/lib/libmpi.so {OpenMpi}", "/opt/mpi/lib/libmpi.so")]
    public void TheLibraryOfTheLauncherComesFirst(string variables, string library)
    {
        var names = MpiLibrary.NamesFor(Variables(variables));
        Assert.Equal(library, names[0]);
        Assert.Equal(names.Distinct(), names);
    }
}
