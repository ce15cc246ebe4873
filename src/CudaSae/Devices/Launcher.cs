namespace CudaSae.Devices;

/// <summary>A launcher outside the engine. Another project makes it and registers it with
/// <c>BackendFactory</c>.</summary>
/// <param name="Open">Opens a GPU by its number.</param>
/// <param name="OpenEmulator">Opens the emulated device of a library that build/emulator.sh made.</param>
sealed record Launcher(Func<int, IDevice> Open, Func<string, IDevice> OpenEmulator);
