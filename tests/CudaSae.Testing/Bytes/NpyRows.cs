using CudaSae.Files;

namespace CudaSae.Testing.Bytes;

/// <summary>Writes activations into a .npy file.</summary>
static class NpyRows
{
    /// <summary>Writes float32 numbers from 0 to 1, the same at each call, and returns the path.</summary>
    public static string Write(string path, int rows, int width)
    {
        var random = new Random(1);
        using var stream = File.Create(path);
        stream.Write(NpyFile.MakeHeader("<f4", rows, width));
        for (var i = 0; i < rows * width; i++) stream.Write(BitConverter.GetBytes((float)random.NextDouble()));
        return path;
    }
}
