using CudaSae.Files.Zip;

namespace CudaSae.Files;

/// <summary>Writes numpy's .npz as np.savez does: a stored .npy member for each tensor, in their order.</summary>
static class NpzWriter
{
    /// <summary>Writes atomically. Each tensor's content is produced when its turn comes, so no copy of a large one is
    /// held.</summary>
    /// <exception cref="SaeException">numpy has no such element type, or the file cannot be written.</exception>
    public static void Write(string path, IEnumerable<TensorToWrite> tensors) => Write(path, tensors, zip64: false);

    internal static void Write(string path, IEnumerable<TensorToWrite> tensors, bool zip64)
    {
        var arrays = tensors.Select(t => (Tensor: t,
            Descr: NpzFile.DescrOf(t.Type)
                ?? throw new SaeException($"tensor {t.Name} is {t.Type}, which numpy has no type for; write float32, "
                    + "or another format")))
            .ToArray();
        if (arrays.GroupBy(a => a.Tensor.Name).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new ArgumentException($"two tensors are named {twice.Key}", nameof(tensors));
        AtomicFile.Write(path, stream =>
        {
            var zip = new ZipWriter(stream, zip64);
            foreach (var (tensor, descr) in arrays)
            {
                var header = NpyFile.MakeHeader(descr, tensor.Shape);
                zip.Add(tensor.Name + ".npy", header.Length + tensor.Bytes, content =>
                {
                    content.Write(header);
                    tensor.Content(content);
                });
            }
            zip.Finish();
        });
    }
}
