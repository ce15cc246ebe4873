using System.Globalization;
using CudaSae.Files;

namespace CudaSae.Formats;

/// <summary>A file of weights under the names that its project gives them: without the prefixes that wrappers leave
/// (torch.compile, data parallelism, a dict around the state_dict).</summary>
sealed class WeightFile : TensorFile
{
    static readonly string[] Leading = ["module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module"];

    readonly TensorFile file;
    readonly Dictionary<string, StoredTensor> tensors = [];
    readonly Dictionary<string, string> metadata = [];

    /// <param name="file">Owned from here on.</param>
    /// <exception cref="SaeException">Two of its tensors have one name without their prefixes.</exception>
    public WeightFile(TensorFile file)
    {
        this.file = file;
        var around = Around([.. file.Tensors.Keys.Select(Unwrapped)]);
        foreach (var (name, tensor) in file.Tensors)
            if (!tensors.TryAdd(Short(name), tensor)) Refuse(Short(name));
        foreach (var (name, text) in file.Metadata) metadata.TryAdd(Short(name), text);

        string Short(string name) => Unwrapped(name) is var rest && rest.StartsWith(around, StringComparison.Ordinal)
            ? Unwrapped(rest[around.Length..]) : rest;
    }

    void Refuse(string name)
    {
        using (file) throw Bad($"two of its tensors are named {Shown(name)} without the prefixes of wrappers");
    }

    public override string Path => file.Path;
    public override IReadOnlyDictionary<string, StoredTensor> Tensors => tensors;
    public override IReadOnlyDictionary<string, string> Metadata => metadata;

    /// <summary>A number: a scalar tensor, a tensor of one element, or one beside the tensors; null for none.</summary>
    public double? Number(string name) => tensors.ContainsKey(name) ? Scalar(name)
        : metadata.TryGetValue(name, out var text)
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;

    static string Unwrapped(string name)
    {
        while (name.IndexOf('.') is > 0 and var dot && Leading.Contains(name[..dot])) name = name[(dot + 1)..];
        return name;
    }

    /// <summary>The prefix that all names share, in whole parts with their dots.</summary>
    static string Around(string[] names)
    {
        if (names.Length < 2) return "";
        for (var end = 0; ;)
        {
            var dot = names[0].IndexOf('.', end);
            if (dot < 0) return names[0][..end];
            var prefix = names[0][..(dot + 1)];
            if (!names.All(name => name.StartsWith(prefix, StringComparison.Ordinal))) return names[0][..end];
            end = dot + 1;
        }
    }

    public override ReadOnlySpan<byte> Slice(StoredTensor tensor, long offset, int length) =>
        file.Slice(tensor, offset, length);
    public override void Read(StoredTensor tensor, long offset, Span<byte> into) => file.Read(tensor, offset, into);
    internal override void Expect(StoredTensor tensor, long offset, long length) => file.Expect(tensor, offset, length);
    protected internal override SaeException Bad(string why) => file.Bad(why);
    public override void Dispose() => file.Dispose();
}
