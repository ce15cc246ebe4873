using Xunit;

namespace CudaSae.Tests;

/// <summary>Tests that take turns: those on the emulator, which is one per process, and those that measure the
/// process.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public class Alone;
