using System.Globalization;
using CudaSae.Files;

namespace CudaSae.Formats;

/// <summary>An SAE in pieces as one file: its tensors hold all latents, which are read from the pieces. W_enc [d, n] is
/// joined along its columns, and other tensors along their rows. b_dec and W_skip, of which each piece has a copy, are
/// read from the first piece.</summary>
sealed class PiecedWeights : JoinedFile
{
    internal const string PieceKey = "piece", PiecesKey = "pieces", FirstKey = "first_latent", LatentsKey = "latents";
    const string ByColumn = "W_enc";
    static readonly string[] Copies = ["b_dec", "W_skip"];

    readonly PieceIndex index;

    /// <summary>Opens an SAE by its index, and compares the checksums of all pieces.</summary>
    /// <exception cref="SaeException">The index is damaged, or a piece is missing or is not the one that was written;
    /// names the file.</exception>
    public PiecedWeights(string path) : this(path, PieceIndex.Read(path)) { }

    PiecedWeights(string path, PieceIndex index) : base(path, index.Pieces.Length)
    {
        this.index = index;
        Open(OpenPiece, Whole);
    }

    SafetensorsFile OpenPiece(int place)
    {
        var piece = index.Pieces[place];
        var path = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(Path)!, piece.Name);
        if (!File.Exists(path)) throw PieceIndex.Damaged(path, "it is missing");
        if (new FileInfo(path).Length is var bytes && bytes != piece.Bytes)
            throw PieceIndex.Damaged(path, $"it has {bytes} bytes, and {piece.Bytes} were written");
        var file = new SafetensorsFile(path);
        try
        {
            var (own, of) = (file.Metadata.GetValueOrDefault(PieceKey), file.Metadata.GetValueOrDefault(PiecesKey));
            if (own is null || of is null) throw PieceIndex.Damaged(path, "it is not a piece of an SAE");
            if (own != Text(place + 1) || of != Text(Files.Length))
                throw PieceIndex.Damaged(path, $"it is piece {Shown(own)} of {Shown(of)}");
            if (PieceIndex.Hex(SummedStream.ChecksumOf(path)) != piece.Checksum)
                throw PieceIndex.Damaged(path, "it differs from its checksum");
            if (place > 0 && file.Tensors.Count != Files[0].Tensors.Count)
                throw PieceIndex.Damaged(path, $"it holds {file.Tensors.Count} tensors, not {Files[0].Tensors.Count}");
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>Returns the axis of a tensor along which the pieces are joined; −1 for a copy.</summary>
    static int Axis(string name) => Copies.Contains(name) ? -1 : name == ByColumn ? 1 : 0;

    /// <summary>Returns the tensor of all latents.</summary>
    StoredTensor Whole(StoredTensor first)
    {
        var axis = Axis(first.Name);
        for (var place = 0; place < Files.Length; place++)
        {
            var shape = (long[])first.Shape.Clone();
            if (axis >= shape.Length) throw PieceIndex.Damaged(Files[0].Path, $"tensor {first.Name} is not a matrix");
            if (axis >= 0) shape[axis] = index.Pieces[place].Count;
            if (!Files[place].Tensors.TryGetValue(first.Name, out var tensor) || tensor.Type != first.Type
                || !tensor.Shape.AsSpan().SequenceEqual(shape))
                throw PieceIndex.Damaged(Files[place].Path,
                    $"it does not hold tensor {first.Name} of {index.Pieces[place].Count} latents");
        }
        if (axis < 0) return first with { Offset = 0 };
        long[] whole = [.. first.Shape];
        whole[axis] = index.Latents;
        return first with { Offset = 0, Shape = whole, Bytes = first.Bytes / index.Pieces[0].Count * index.Latents };
    }

    protected override (SafetensorsFile File, StoredTensor Tensor, long Offset, long Bytes) Find(StoredTensor tensor,
        long offset)
    {
        var axis = Axis(tensor.Name);
        if (axis < 0) return (Files[0], Files[0].Tensors[tensor.Name], offset, tensor.Bytes - offset);
        var latent = tensor.Shape[(axis + 1)..].Aggregate((long)tensor.ElementBytes, (size, extent) => size * extent);
        var (row, within) = Math.DivRem(offset, latent * index.Latents);
        var place = 0;
        while (within >= (index.Pieces[place].First + (long)index.Pieces[place].Count) * latent) place++;
        var (start, bytes) = (within - index.Pieces[place].First * latent, index.Pieces[place].Count * latent);
        return (Files[place], Files[place].Tensors[tensor.Name], row * bytes + start, bytes - start);
    }

    protected internal override SaeException Bad(string why) => new($"{Path} is not a usable SAE in pieces: {why}");
}
