using System.IO.Compression;
using CudaSae.Files.Zip;

namespace CudaSae.Testing.Fuzz;

/// <summary>The members of a zip archive: changed, renamed, removed, doubled, reordered; written again with right
/// checksums.</summary>
static class ZipStructure
{
    public static byte[] Mutate(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words,
        IReadOnlyList<byte[]> others)
    {
        var members = Members(bytes);
        for (var rounds = 1 + random.Next(random.Next(3) + 1); rounds > 0; rounds--) Once(random, members, words);
        return random.OneIn(6) ? Deflated(members) : Stored(members, random.OneIn(8));
    }

    static void Once(FuzzRandom random, List<(string Name, byte[] Content)> members, IReadOnlyList<byte[]> words)
    {
        if (members.Count == 0) return;
        var pickle = members.FindIndex(m => m.Name.EndsWith(".pkl", StringComparison.Ordinal));
        var at = pickle >= 0 && !random.OneIn(4) ? pickle : random.Next(members.Count);
        var (name, content) = members[at];
        switch (random.Next(12))
        {
            case 0: members.RemoveAt(at); break;
            case 1:
                members.Insert(random.Next(members.Count), (random.OneIn(2) ? name : name + random.Next(9), content));
                break;
            case 2: (members[at], members[0]) = (members[0], members[at]); break;
            case 3: members[at] = (random.Of(members).Name, content); break;
            case 4:
                members[at] = (random.Of(["../" + name, "/" + name, name + "\n", "", name.ToUpperInvariant(),
                    "data.pkl", "a/data.pkl", "constants.pkl", "archive/byteorder", new string('x', 2000)]),
                    content);
                break;
            default:
                members[at] = (name, ByteMutator.Mutate(random, content, words, [.. members.Select(m => m.Content)]));
                break;
        }
    }

    static List<(string Name, byte[] Content)> Members(byte[] bytes)
    {
        using var archive = new ZipArchive(new MemoryStream(bytes));
        return [.. archive.Entries.Select(e =>
        {
            using var stream = e.Open();
            using var content = new MemoryStream();
            stream.CopyTo(content);
            return (e.FullName, content.ToArray());
        })];
    }

    static byte[] Stored(List<(string Name, byte[] Content)> members, bool zip64)
    {
        using var stream = new MemoryStream();
        var zip = new ZipWriter(stream, zip64);
        foreach (var (name, content) in members) zip.Add(name, content);
        zip.Finish();
        return stream.ToArray();
    }

    public static byte[] Deflated(List<(string Name, byte[] Content)> members)
    {
        using var stream = new MemoryStream();
        using (var archive = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
            foreach (var (name, content) in members)
            {
                using var entry = archive.CreateEntry(name.Length > 0 ? name : "_", CompressionLevel.Fastest).Open();
                entry.Write(content);
            }
        return stream.ToArray();
    }

    /// <summary>The archive with every member deflated.</summary>
    public static byte[] Deflated(byte[] stored) => Deflated(Members(stored));
}
