using System.Globalization;
using System.Text;
using CudaSae.Files.Pt;
using CudaSae.Files.Zip;

namespace CudaSae.Files;

/// <summary>What torch.save writes (torch 1.6 and newer), mapped: a zip of NAME/data.pkl, NAME/data/KEY for each
/// storage, NAME/version and NAME/byteorder. The pickle is read without running any of it.
/// Nested dicts are flattened: tensors and, as <see cref="TensorFile.Metadata"/>, numbers, strings, types and devices
/// carry their keys joined by dots; elements of lists carry their place.
/// Strides and offsets are kept as saved and checked against the storage; checksums of storages are not, as torch
/// itself does not. Layout: torch/serialization.py, caffe2/serialize/inline_container.h.</summary>
sealed class PtFile : TensorFile
{
    /// <summary>The name of a tensor that was saved by itself.</summary>
    public const string BareTensorName = "tensor";

    const string Pickle = "data.pkl";
    readonly MappedFile file;
    readonly Dictionary<string, StoredTensor> tensors;
    Dictionary<string, string> metadata = [];

    public PtFile(string path) : this(new MappedFile(path)) { }

    internal PtFile(MappedFile file)
    {
        this.file = file;
        try { tensors = Read(); }
        catch { file.Dispose(); throw; }
    }

    public override string Path => file.Path;
    public override IReadOnlyDictionary<string, StoredTensor> Tensors => tensors;
    public override IReadOnlyDictionary<string, string> Metadata => metadata;

    public override ReadOnlySpan<byte> Slice(StoredTensor tensor, long offset, int length) =>
        file.Slice(tensor.Offset + Within(tensor, offset, length), length);
    public override void Read(StoredTensor tensor, long offset, Span<byte> into) =>
        file.Read(tensor.Offset + Within(tensor, offset, into.Length), into);
    internal override void Expect(StoredTensor tensor, long offset, long length) =>
        file.Expect(tensor.Offset + Within(tensor, offset, length), length);

    /// <summary>Whether it begins as files of torch before 1.6: a bare pickle, or a tar archive.</summary>
    internal static bool IsLegacy(MappedFile file) =>
        (file.Length >= 2 && file.Slice(0, 1)[0] == 0x80 && file.Slice(1, 1)[0] is >= 1 and <= 5
            && !IsHeaderLength(file))
            || (file.Length >= 262 && file.Slice(257, 5).SequenceEqual("ustar"u8));

    /// <summary>Whether the first eight bytes are, rather, the length of a safetensors header.</summary>
    static bool IsHeaderLength(MappedFile file) =>
        file.Length > 8 && file.Slice(8, 1)[0] == (byte)'{' && file.Slice(4, 4).IndexOfAnyExcept((byte)0) < 0;

    internal static bool IsPickle(string member) =>
        member.IndexOf('/') is > 0 and var slash && member[(slash + 1)..] == Pickle;

    Dictionary<string, StoredTensor> Read()
    {
        if (IsLegacy(file))
            throw Bad("it is of the layout before torch 1.6; save it again with torch.save of torch 1.6 or newer");
        if (!ZipDirectory.Begins(file)) throw Bad("it does not start as a zip archive");
        var members = ZipDirectory.Read(file, Bad).ToDictionary(m => m.Name);
        var pickles = members.Keys.Where(IsPickle).ToArray();
        if (pickles.Length != 1) throw Bad($"it has {pickles.Length} members NAME/{Pickle}, one was expected");
        var root = pickles[0][..^Pickle.Length];
        if (members.ContainsKey(root + "constants.pkl"))
            throw Bad("it is a TorchScript module; save its state_dict with torch.save");
        if (members.Values.FirstOrDefault(m => m.Deflated) is { } packed)
            throw Bad($"its member {packed.Name} is compressed, which torch.save never does; save it again");
        if (!int.TryParse(Text(root + "version", ""), NumberStyles.None, CultureInfo.InvariantCulture, out _))
            throw Bad("its version is no number");
        if (Text(root + "byteorder", "little") is not "little" and var order)
            throw Bad($"its byte order is {Shown(order)}; only little is read");

        var budget = new PickleBudget(file.Length, Bad);
        var tree = new PickleTree(budget, Bad);
        tree.Add("", new PickleReader(Content(members[pickles[0]]), budget, Bad).Read());
        metadata = tree.Texts;
        return tree.Tensors.ToDictionary(t => t.Key,
            t => Place(t.Key, t.Value, members.GetValueOrDefault($"{root}data/{t.Value.Storage.Key}")));

        string Text(string name, string missing) =>
            members.TryGetValue(name, out var member) ? Encoding.Latin1.GetString(Content(member)).Trim()
                : missing.Length > 0 ? missing : throw Bad($"it lacks the member {name}");
    }

    /// <summary>A small member's bytes, held against their checksum.</summary>
    ReadOnlySpan<byte> Content(ZipMember member)
    {
        if (member.Bytes > 1 << 30)
            throw Bad($"its member {member.Name} claims {member.Bytes} bytes; storages may be as long, pickles not");
        var bytes = file.Slice(member.Offset, (int)member.Bytes);
        return Crc32.Append(0, bytes) == member.Crc ? bytes
            : throw Bad($"the checksum of its member {member.Name} is wrong; it is damaged, or was saved after "
                + "torch.serialization.set_crc32_options(False)");
    }

    StoredTensor Place(string name, PickleTensor tensor, ZipMember? storage)
    {
        var (type, elements) = (tensor.Storage.Type, tensor.Storage.Elements);
        var width = WidthOf(type);
        if (storage is null) throw Bad($"the storage {Shown(tensor.Storage.Key)} of tensor {name} is missing");
        if (storage.Bytes / width != elements)
            throw Bad($"tensor {name} wants a storage of {elements} elements of {type}, its member {storage.Name} has "
                + $"{storage.Bytes} bytes");
        if (tensor.Shape.Length != tensor.Strides.Length || tensor.Shape.Length > 64)
            throw Bad($"tensor {name} has {tensor.Shape.Length} axes and {tensor.Strides.Length} strides");
        if (tensor.Offset < 0 || tensor.Shape.Any(e => e < 0) || tensor.Strides.Any(e => e < 0))
            throw Bad($"tensor {name} has a negative extent, stride or offset");
        var empty = tensor.Shape.Contains(0);
        Int128 count = empty ? 0 : 1, last = tensor.Offset - (empty ? 1 : 0); // of the elements; the place of the last
        for (var axis = 0; axis < tensor.Shape.Length && !empty && count <= elements && last < elements; axis++)
        {
            count *= tensor.Shape[axis];
            last += (Int128)(tensor.Shape[axis] - 1) * tensor.Strides[axis];
        }
        if (count > elements || last >= elements)
            throw Bad($"tensor {name}, shape [{string.Join(", ", tensor.Shape)}], strides "
                + $"[{string.Join(", ", tensor.Strides)}], offset {tensor.Offset}, has more elements than the "
                + $"{elements} of its storage; "
                + "it is damaged, or an expanded view to be saved as .contiguous()");
        return new(name, type, tensor.Shape, storage.Offset + tensor.Offset * width,
            empty ? 0 : (long)(last - tensor.Offset + 1) * width)
        {
            Strides = empty || IsContiguous(tensor) ? null
                : tensor.Strides
        };
    }

    static bool IsContiguous(PickleTensor tensor)
    {
        long expected = 1;
        for (var axis = tensor.Shape.Length - 1; axis >= 0; axis--)
        {
            if (tensor.Shape[axis] != 1 && tensor.Strides[axis] != expected) return false;
            expected *= tensor.Shape[axis];
        }
        return true;
    }

    protected internal override SaeException Bad(string why) => new($"{Path} is not a usable .pt file: {why}");

    public override void Dispose() => file.Dispose();
}
