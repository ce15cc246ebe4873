namespace CudaSae.Testing.Fuzz;

/// <summary>A mutation that follows a format's structure and keeps its enclosing fields valid (lengths, checksums), so
/// that it reaches the data behind them.</summary>
delegate byte[] Structure(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words, IReadOnlyList<byte[]> others);
