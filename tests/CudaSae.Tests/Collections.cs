namespace CudaSae.Tests;

/// <summary>Tests that run one at a time: those on the emulator, which exists once per process, and those that measure
/// the process.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public class Alone;
