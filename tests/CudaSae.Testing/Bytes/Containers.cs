using System.IO.Compression;
using System.Text;
using CudaSae.Files;
using CudaSae.Files.Zip;
using Xunit;

namespace CudaSae.Testing.Bytes;

/// <summary>What the tests of .pt and .npz files share.</summary>
static class Containers
{
    /// <summary>A tensor's bytes in C order, gathered through its strides.</summary>
    public static byte[] Bytes(this TensorFile file, string name)
    {
        var tensor = file.Tensors[name];
        var width = tensor.ElementBytes;
        var count = tensor.Shape.Aggregate(1L, (product, extent) => product * extent);
        if (tensor.Strides is null) return file.Slice(tensor, 0, checked((int)(count * width))).ToArray();
        var bytes = new byte[count * width];
        for (long i = 0; i < count; i++)
        {
            long rest = i, place = 0;
            for (var axis = tensor.Shape.Length - 1; axis >= 0; axis--)
                (rest, place) = (rest / tensor.Shape[axis], place + rest % tensor.Shape[axis] * tensor.Strides[axis]);
            file.Slice(tensor, place * width, width).CopyTo(bytes.AsSpan((int)i * width));
        }
        return bytes;
    }

    public static TensorToWrite Tensor(string name, string type, long[] shape, int seed)
    {
        var tensor = new TensorToWrite(name, type, shape, _ => { });
        var bytes = new byte[tensor.Bytes];
        new Random(seed).NextBytes(bytes);
        // no NaNs: their comparison is not the point
        for (var i = 0; i < bytes.Length; i++) bytes[i] &= (byte)(type == "BOOL" ? 1 : 0x3F);
        return tensor with { Content = stream => stream.Write(bytes) };
    }

    /// <summary>A zip archive of stored members.</summary>
    public static byte[] Zip(params (string Name, byte[] Content)[] members)
    {
        using var stream = new MemoryStream();
        var zip = new ZipWriter(stream);
        foreach (var (name, content) in members) zip.Add(name, content);
        zip.Finish();
        return stream.ToArray();
    }

    /// <summary>A zip archive of deflated members.</summary>
    public static byte[] Deflated(params (string Name, byte[] Content)[] members)
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
            foreach (var (name, content) in members)
            {
                using var entry = zip.CreateEntry(name, CompressionLevel.Optimal).Open();
                entry.Write(content);
            }
        return stream.ToArray();
    }

    /// <summary>A .pt file of that pickle (a protocol's two bytes are put before it) and storage 0 of six
    /// float32.</summary>
    public static byte[] Pt(string pickle, string storage = "archive/data/0") =>
        Zip(("archive/data.pkl", [0x80, 2, .. Encoding.Latin1.GetBytes(pickle)]), (storage, new byte[24]),
            ("archive/version", "3\n"u8.ToArray()));

    /// <summary>Opens and reads everything. Whether that went well; a refusal must be one line.</summary>
    public static bool Reads(Func<TensorFile> open)
    {
        try
        {
            using var file = open();
            foreach (var name in file.Tensors.Keys) file.Bytes(name);
            return true;
        }
        catch (SaeException e)
        {
            Assert.False(e.Message.Any(char.IsControl), e.Message);
            return false;
        }
    }

    /// <summary>Every prefix of a file is refused; of seeded mutations of one byte each, any outcome but a refusal in
    /// one line or success fails.</summary>
    public static void AssertSurvivesDamage(byte[] file, int mutations, string path, Func<string, TensorFile> open)
    {
        for (var length = 0; length < file.Length; length++)
        {
            File.WriteAllBytes(path, file.AsSpan(0, length));
            Assert.False(Reads(() => open(path)), $"{length} of {file.Length} bytes were read");
        }
        var random = new Random(7);
        var refused = 0;
        for (var i = 0; i < mutations; i++)
        {
            var damaged = file.ToArray();
            damaged[random.Next(file.Length)] ^= (byte)(1 << random.Next(8));
            if (i % 2 == 0) damaged[random.Next(file.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(path, damaged);
            if (!Reads(() => open(path))) refused++;
        }
        Assert.True(refused > mutations / 4, $"only {refused} of {mutations} were refused");
    }
}
