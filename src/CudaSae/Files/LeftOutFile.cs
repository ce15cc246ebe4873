namespace CudaSae.Files;

/// <summary>A file or folder in a folder of data that is not read.</summary>
/// <param name="Path">Path of the file, below the folder as the user named it.</param>
/// <param name="Reason">A phrase; files that are omitted for the same reason have the same phrase.</param>
sealed record LeftOutFile(string Path, string Reason);
