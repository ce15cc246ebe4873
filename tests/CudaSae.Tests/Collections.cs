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
