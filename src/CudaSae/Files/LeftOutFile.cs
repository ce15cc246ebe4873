namespace CudaSae.Files;

/// <summary>A file or folder that lies in a folder of data and is not read.</summary>
/// <param name="Path">Of the file, under the folder as it was named.</param>
/// <param name="Reason">One phrase; files that are left out for one reason have the same one.</param>
sealed record LeftOutFile(string Path, string Reason);
