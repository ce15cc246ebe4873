namespace CudaSae.Testing.Fuzz;

/// <summary>A change that knows how a format is built, and leaves what encloses it right (lengths, checksums), so that
/// it reaches what lies behind.</summary>
delegate byte[] Structure(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words, IReadOnlyList<byte[]> others);
