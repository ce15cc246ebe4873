using Xunit;

namespace CudaSae.Tests;

/// <summary>A driver whose calls fail, on the emulator.</summary>
[Collection("alone")]
public class FaultTests
{
    /// <summary>Some calls of a run fail in turn, of memory that ran out, of a lost device, of memory that broke: one sentence that names the call, no hang, nothing left.</summary>
    [Theory]
    [InlineData(DriverFaults.OutOfMemory, 0)]
    [InlineData(DriverFaults.LaunchFailed, 1)]
    [InlineData(DriverFaults.EccUncorrectable, 2)]
    public void DriverCallsMayFail(int code, ulong first) => Inject(code, first, every: 11);

    /// <summary>All of them: bash build.sh faults.</summary>
    [Theory(Explicit = true)]
    [InlineData(DriverFaults.OutOfMemory)]
    [InlineData(DriverFaults.LaunchFailed)]
    [InlineData(DriverFaults.EccUncorrectable)]
    public void EveryDriverCallMayFail(int code) => Inject(code, 0, every: 1);

    static void Inject(int code, ulong first, ulong every)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        Targets.Emulator.SetSeed(0);
        var calls = DriverFaults.Count(folder["run"]);
        var names = new Dictionary<string, string>();
        var injected = 0;
        for (var call = first; call < calls; call += every, injected++)
        {
            var (failed, name) = DriverFaults.Inject(folder["run"], call, code);
            if (name is not null && !names.TryAdd(failed, name)) Assert.Equal(names[failed], name);
        }
        Assert.Equal(names.Count, names.Values.Distinct().Count());      // a name is one call's
        TestContext.Current.TestOutputHelper!.WriteLine($"{injected} of {calls} calls failed with {code}: {names.Count} kinds of call named");
    }
}
