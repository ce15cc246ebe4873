using System.Runtime.InteropServices;
using CudaSae.Distributed;

namespace CudaSae.Tests;

/// <summary>The table of MPI's functions and constants for the libraries of this machine. tests/cluster/ranks.sh runs
/// ranks.</summary>
public class MpiLibraryTests
{
    [Theory]
    [InlineData("libmpi.so.40", "the Open MPI ABI", "^Open MPI ")]
    [InlineData("libmpich.so.12", "the MPICH ABI", "^MPICH ")]
    [InlineData("libmpi_abi.so.1", "the MPI 5 ABI", ".")]
    public void AnInstalledLibraryIsRecognised(string name, string abi, string version)
    {
        var library = MpiLibrary.TryLoad([name], out var why);
        Assert.SkipWhen(library is null, $"{name} is not installed: {why}");
        Assert.Equal(abi, library.Abi.Name);
        Assert.Matches(version, library.Version);
        Assert.StartsWith("/", library.File);
        Assert.Same(library, MpiLibrary.TryLoad([name], out _));
    }

    [Fact]
    public void AMissingLibraryIsNamedWithTheVariable()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "MPI is for Linux");
        Assert.Null(MpiLibrary.TryLoad(["libno_mpi.so.1", "libno_mpi.so.2"], out var why));
        Assert.Matches(@"libno_mpi\.so\.1, libno_mpi\.so\.2 are not installed.*CUDASAE_MPI", why);
    }

    [Fact]
    public void ALibraryWithoutMpiIsRefused()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "MPI is for Linux");
        Assert.Null(MpiLibrary.TryLoad(["libm.so.6"], out var why));
        Assert.Contains("libm.so.6 is not a library of MPI", why);
    }

    /// <summary>A name decides for the ABI of MPI 5, a symbol for Open MPI.</summary>
    [Theory]
    [InlineData("/usr/lib/libmpi_abi.so.1", "the MPI 5 ABI")]
    [InlineData("/opt/mpi_abi/libmpi.so.12", "the MPICH ABI")]
    public void TheNameTellsTheStandardAbi(string name, string abi) =>
        Assert.Equal(abi, MpiAbi.Of(NativeLibrary.GetMainProgramHandle(), name).Name);
}
