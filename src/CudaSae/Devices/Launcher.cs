namespace CudaSae.Devices;

/// <summary>A launcher that the engine does not contain: another project makes it and registers it with
/// <c>BackendFactory</c>.</summary>
/// <param name="Open">The GPU of that number.</param>
/// <param name="OpenEmulator">The emulated device of a library that build/emulator.sh made.</param>
sealed record Launcher(Func<int, IDevice> Open, Func<string, IDevice> OpenEmulator);
