namespace CudaSae.Tests;

/// <summary>Failing driver calls on the emulator.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class FaultTests
{
    /// <summary>Some calls of a run fail in turn, from exhausted memory, a lost device or a memory error. Each failure
    /// gives one sentence that names the call, and neither hangs nor leaks.</summary>
    [Theory]
    [InlineData(DriverFaults.OutOfMemory, 0, false)]
    [InlineData(DriverFaults.LaunchFailed, 1, false)]
    [InlineData(DriverFaults.EccUncorrectable, 2, false)]
    [InlineData(DriverFaults.OutOfMemory, 5, true)]
    [InlineData(DriverFaults.LaunchFailed, 4, true)]
    [InlineData(DriverFaults.EccUncorrectable, 3, true)]
    public void DriverCallsMayFail(int code, ulong first, bool late) => Inject(code, first, every: 11, late);

    /// <summary>Every call fails in turn. Run it by bash build.sh faults.</summary>
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
        Assert.Equal(names.Count, names.Values.Distinct().Count());      // a name belongs to one call
        TestContext.Current.TestOutputHelper!.WriteLine($"{injected} of {calls} calls failed with {code}: "
            + $"{names.Count} kinds of call named");
    }
}
