using Xunit;

namespace CudaSae.Tests;

/// <summary>A driver whose calls fail, on the emulator.</summary>
[Collection("alone")]
[Trait("speed", "slow")]
public class FaultTests
{
    /// <summary>Some calls of a run fail in turn, of memory that ran out, of a lost device, of memory that broke: one
    /// sentence that names the call, no hang, nothing left.</summary>
    [Theory]
    [InlineData(DriverFaults.OutOfMemory, 0, false)]
    [InlineData(DriverFaults.LaunchFailed, 1, false)]
    [InlineData(DriverFaults.EccUncorrectable, 2, false)]
    [InlineData(DriverFaults.OutOfMemory, 5, true)]
    [InlineData(DriverFaults.LaunchFailed, 4, true)]
    [InlineData(DriverFaults.EccUncorrectable, 3, true)]
    public void DriverCallsMayFail(int code, ulong first, bool late) => Inject(code, first, every: 11, late);

    /// <summary>All of them: bash build.sh faults.</summary>
    [Theory(Explicit = true)]
    [InlineData(DriverFaults.OutOfMemory, false)]
    [InlineData(DriverFaults.LaunchFailed, false)]
    [InlineData(DriverFaults.EccUncorrectable, false)]
    [InlineData(DriverFaults.OutOfMemory, true)]
    [InlineData(DriverFaults.LaunchFailed, true)]
    [InlineData(DriverFaults.EccUncorrectable, true)]
    public void EveryDriverCallMayFail(int code, bool late) => Inject(code, 0, every: 1, late);

    static void Inject(int code, ulong first, ulong every, bool late)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        Targets.Emulator.SetSeed(0);
        var calls = DriverFaults.Count(folder["run"], late);
        var names = new Dictionary<string, string>();
        var injected = 0;
        for (var call = first; call < calls; call += every, injected++)
        {
            var (failed, name) = DriverFaults.Inject(folder["run"], late, call, code);
            if (name is not null && !names.TryAdd(failed, name)) Assert.Equal(names[failed], name);
        }
        Assert.Equal(names.Count, names.Values.Distinct().Count());      // a name is one call's
        TestContext.Current.TestOutputHelper!.WriteLine($"{injected} of {calls} calls failed with {code}: "
            + $"{names.Count} kinds of call named");
    }
}
