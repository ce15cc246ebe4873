namespace CudaSae.Files;

/// <summary>Several safetensors files as one: each tensor is joined from the parts of it that the files hold.</summary>
/// <param name="path">The path in messages.</param>
/// <param name="files">Number of files.</param>
abstract class JoinedFile(string path, int files) : TensorFile
{
    readonly Dictionary<string, StoredTensor> tensors = [];

    public override string Path => path;
    public override IReadOnlyDictionary<string, StoredTensor> Tensors => tensors;

    /// <summary>The files, in the order of their parts.</summary>
    protected SafetensorsFile[] Files { get; } = new SafetensorsFile[files];

    /// <summary>Opens the files in their order, and joins the tensors of the first one. After an error no file stays
    /// open.</summary>
    /// <param name="open">Opens a file by its place.</param>
    /// <param name="whole">Returns the joined tensor for the part that the first file holds.</param>
    protected void Open(Func<int, SafetensorsFile> open, Func<StoredTensor, StoredTensor> whole)
    {
        try
        {
            for (var place = 0; place < Files.Length; place++) Files[place] = open(place);
            foreach (var tensor in Files[0].Tensors.Values) tensors[tensor.Name] = whole(tensor);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Finds the file of a byte.</summary>
    /// <param name="offset">Offset in the joined tensor.</param>
    /// <returns>The file, its tensor, the offset there, and the number of bytes that follow in it without a
    /// gap.</returns>
    protected abstract (SafetensorsFile File, StoredTensor Tensor, long Offset, long Bytes) Find(StoredTensor tensor,
        long offset);

    public override void Read(StoredTensor tensor, long offset, Span<byte> into)
    {
        Within(tensor, offset, into.Length);
        while (into.Length > 0)
        {
            var (file, own, at, bytes) = Find(tensor, offset);
            var part = into[..(int)Math.Min(into.Length, bytes)];
            file.Read(own, at, part);
            into = into[part.Length..];
            offset += part.Length;
        }
    }

    /// <summary>Returns the bytes in place if one file holds them, otherwise a copy.</summary>
    public override ReadOnlySpan<byte> Slice(StoredTensor tensor, long offset, int length)
    {
        Within(tensor, offset, length);
        if (length == 0) return [];
        var (file, own, at, bytes) = Find(tensor, offset);
        if (bytes >= length) return file.Slice(own, at, length);
        var copy = new byte[length];
        Read(tensor, offset, copy);
        return copy;
    }

    public override void Dispose()
    {
        foreach (var file in Files) file?.Dispose();
    }
}
