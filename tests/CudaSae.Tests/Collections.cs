using System.Runtime.CompilerServices;
using Xunit.v3;

[assembly: TestCollectionOrderer(typeof(CudaSae.Tests.LongestCollectionsFirst))]

namespace CudaSae.Tests;

/// <summary>Tests that measure the process, such as its allocations. No other test runs beside them.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public class Alone;

/// <summary>Tests on the emulator, which emulates one device in a process. They run one after another, beside tests of
/// other collections.</summary>
[CollectionDefinition("emulator")]
public class OnEmulator;

/// <summary>Refuses a use of the emulator by a test that may run beside another use.</summary>
static class EmulatorGuard
{
    [ModuleInitializer]
    public static void Install() => Targets.BeforeEmulator = static () =>
    {
        if (TestContext.Current is { TestCollection: { } collection, TestClass: { } test }
            && collection.TestCollectionDisplayName is not ("alone" or "emulator"))
            throw new InvalidOperationException(
                $"{test.TestClassName} uses the emulator: it needs [Collection(\"emulator\")]");
    };
}

/// <summary>Starts the longest collections first, so that the last one to end does not run without others.</summary>
public sealed class LongestCollectionsFirst : ITestCollectionOrderer
{
    static readonly string[] Longest = ["emulator", "MethodCliTests", "PeerTests", "NativeTests", "RecoveryTests"];

    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(
        IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : Xunit.Sdk.ITestCollection =>
        [.. testCollections.OrderBy(collection => Place(collection.TestCollectionDisplayName))];

    static int Place(string name) =>
        Array.FindIndex(Longest, name.Contains) is >= 0 and var place ? place : Longest.Length;
}
