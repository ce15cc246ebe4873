using CudaSae.Files;

namespace CudaSae.Testing.Bytes;

/// <summary>Rewrites a checkpoint in the form of the first version: without checksums, spec, config and
/// fingerprint.</summary>
static class OlderCheckpoint
{
    static readonly string[] First = ["step", "epoch", "position", "dense", "penalty_factor"];

    /// <param name="path">Path of the checkpoint to change.</param>
    public static void Write(string path) => Write(path, path);

    public static void Write(string from, string to)
    {
        var tensors = new List<TensorToWrite>();
        var metadata = new Dictionary<string, string>();
        using (var file = new SafetensorsFile(from))
        {
            foreach (var key in First) metadata[key] = file.Metadata[key];
            foreach (var t in file.Tensors.Values)
            {
                var bytes = file.Slice(t, 0, (int)t.Bytes).ToArray();
                tensors.Add(new(t.Name, t.Type, t.Shape, stream => stream.Write(bytes)));
            }
        }
        SafetensorsWriter.Write(to, tensors, metadata);
    }
}
