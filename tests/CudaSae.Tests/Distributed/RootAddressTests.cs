using CudaSae.Distributed;

namespace CudaSae.Tests;

/// <summary>The address at which rank 0 waits, from the variables that launchers set.</summary>
public class RootAddressTests
{
    static string Of(string launcher, string variables) =>
        RootAddress.Of(new(launcher, 1, 2, 1, 2), variables.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(word => word.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]));

    [Theory]
    // The port itself belongs to torchrun.
    [InlineData("torchrun", "MASTER_ADDR=10.0.0.1 MASTER_PORT=29500", "10.0.0.1:29501")]
    [InlineData("torchrun", "MASTER_ADDR=node1 MASTER_PORT=1", "node1:2")]
    [InlineData("torchrun", "MASTER_ADDR=fe80::1 MASTER_PORT=29500", "[fe80::1]:29501")]
    [InlineData("torchrun", "MASTER_ADDR=a MASTER_PORT=1 NCCL_COMM_ID=b:7", "b:7")]
    [InlineData("srun", "SLURM_STEP_NODELIST=n[1-2] SLURM_JOB_ID=5", "n1:61445")]
    [InlineData("srun", "SLURM_STEP_NODELIST=gpu[08-11,20]-ib,m2 SLURM_JOB_ID=4096", "gpu08-ib:61440")]
    [InlineData("srun", "SLURM_STEP_NODELIST=n[3,7] SLURM_JOBID=8191", "n3:65535")]
    [InlineData("srun", "SLURM_STEP_NODELIST=rack[1-2]n[04-05] SLURM_JOB_ID=1", "rack1n04:61441")]
    [InlineData("srun", "SLURM_STEP_NODELIST=alone SLURM_JOB_ID=1", "alone:61441")]
    [InlineData("srun", "SLURM_JOB_NODELIST=a,b SLURM_JOB_ID=1", "a:61441")]
    [InlineData("srun", "SLURM_STEP_NODELIST=b SLURM_JOB_NODELIST=a,b SLURM_JOB_ID=1", "b:61441")]
    [InlineData("srun", "SLURM_STEP_NODELIST=a SLURM_JOB_ID=1 SLURM_STEP_ID=2", "a:61643")]
    [InlineData("Kubernetes", "CUDASAE_ROOT=sae-0.sae", "sae-0.sae:29400")]
    [InlineData("Kubernetes", "CUDASAE_ROOT=sae-0.sae:4000", "sae-0.sae:4000")]
    [InlineData("Kubernetes", "CUDASAE_ROOT=[fd00::2]:4000", "[fd00::2]:4000")]
    [InlineData("Kubernetes", "CUDASAE_ROOT=fd00::2", "[fd00::2]:29400")]
    public void ALauncherStatesTheHostOfRank0(string launcher, string variables, string address) =>
        Assert.Equal(address, Of(launcher, variables));

    [Theory]
    [InlineData("torchrun", "MASTER_ADDR=a",
        "torchrun started 2 ranks.*MASTER_ADDR and MASTER_PORT.*NCCL_COMM_ID=HOST")]
    [InlineData("torchrun", "MASTER_ADDR=a MASTER_PORT=65535", "MASTER_PORT = 65535 does not state a port, 1 to 65534")]
    [InlineData("torchrun", "MASTER_ADDR=a MASTER_PORT=x", "MASTER_PORT = x does not state a port")]
    [InlineData("srun", "SLURM_JOB_ID=5", "SLURM_STEP_NODELIST")]
    [InlineData("Kubernetes", "", "Kubernetes started 2 ranks.*CUDASAE_ROOT")]
    [InlineData("Kubernetes", "CUDASAE_ROOT=a:0", "CUDASAE_ROOT = 0 does not state a port")]
    public void AMissingAddressIsRefused(string launcher, string variables, string message) =>
        Assert.Matches(message, Assert.Throws<SaeException>(() => Of(launcher, variables)).Message);
}
