using CudaSae.Files.Pt;
using CudaSae.Files.Zip;

namespace CudaSae.Files;

/// <summary>Writes what torch.load reads, with weights_only too: an OrderedDict of contiguous tensors on the CPU, each
/// with a storage of its own, and numbers, strings and dicts of them behind.</summary>
static class PtWriter
{
    const string Root = "archive/";         // torch's name for a file without one

    /// <summary>Writes atomically, in the order given; the same content gives the same bytes. Each tensor's content is
    /// produced when its turn comes, so no copy of a large one is held.</summary>
    /// <param name="scalars">Values of the dict beside the tensors: int, long, float, double, bool, string, null, or a
    /// dictionary of these.</param>
    /// <exception cref="SaeException">torch has no such element type, or the file cannot be written.</exception>
    public static void Write(string path, IEnumerable<TensorToWrite> tensors,
        IReadOnlyDictionary<string, object>? scalars = null) =>
        Write(path, tensors, scalars, zip64: false);

    internal static void Write(string path, IEnumerable<TensorToWrite> tensors,
        IReadOnlyDictionary<string, object>? scalars, bool zip64)
    {
        var ordered = tensors.ToArray();
        var names = ordered.Select(t => t.Name).Concat(scalars?.Keys ?? []);
        if (names.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new ArgumentException($"two values are named {twice.Key}", nameof(tensors));
        var pickle = PickleWriter.Dict(ordered, scalars);
        AtomicFile.Write(path, stream =>
        {
            var zip = new ZipWriter(stream, zip64);
            zip.Add(Root + "data.pkl", pickle);
            zip.Add(Root + "byteorder", "little"u8.ToArray());
            for (var i = 0; i < ordered.Length; i++) zip.Add($"{Root}data/{i}", ordered[i].Bytes, ordered[i].Content);
            zip.Add(Root + "version", "3\n"u8.ToArray());
            zip.Finish();
        });
    }
}
