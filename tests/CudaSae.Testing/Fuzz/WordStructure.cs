using System.Text;

namespace CudaSae.Testing.Fuzz;

/// <summary>Mutates a command line whose words are separated by line ends: replaces words by hostile values, and
/// removes, duplicates, exchanges, joins or changes words.</summary>
static class WordStructure
{
    /// <summary>Hostile values, which no option may misread as another value.</summary>
    public static readonly string[] Values =
    [
        "7", "1", "+1", "-1", "0", "-0", "0x1", "1e3", "1_000", "1,000", "1.5", "1,5", "1.", ".5", " 1", "1 ", "\t1",
            "99999999999", "99999999999999999999", "-99999999999999999999", "1e999", "1e-999", "NaN", "nan",
            "Infinity", "-Infinity", "∞", "١٢", "１２", "½", "−1",
        "true", "True", "false ", "yes", "no", "on", "off", "null", "none", "adam,sgd", "adam, sgd", "Adam", "ADAM",
            "ıdle", "KELVIN", "K", "topk", "TopK", "", " ", "--", "-", "--lr", "--seed", "@x", "[suggest]",
            "[diagram]", "/?", "-h", "--help", "%s", "{0}", "[red]", "x\u2028y", "\u001b[31m", "😀", "\ud83d",
        "spec.selection.k=3", "spec.k=NaN", "config.optimizer=7", "config.optimizer=\"sgd\"", "config.seed=-1",
            "spec.sites=[1,2]", "config.vectors=1e999", "spec.", "config.=", "spec.selection={\"kind\":\"topk\"}",
            "spec.aux.k={}", "config.x.y=1", "auto", "cpu", "16GiB", "999999999999GiB",
    ];

    public static byte[] Mutate(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words,
        IReadOnlyList<byte[]> others)
    {
        var line = Encoding.UTF8.GetString(bytes).Split('\n').ToList();
        for (var rounds = 1 + random.Next(random.Next(4) + 1); rounds > 0; rounds--)
        {
            var at = random.Next(line.Count);
            switch (random.Next(8))
            {
                case 0 when line.Count > 1: line.RemoveAt(at); break;
                case 1: line.Insert(at, line[random.Next(line.Count)]); break;
                case 2: line.Insert(at, random.Of(Values)); break;
                case 3: line[at] += "=" + random.Of(Values); break;
                case 4: (line[at], line[0]) = (line[0], line[at]); break;
                case 5 when line[at].Length > 2: line[at] = line[at].Remove(random.Next(line[at].Length), 1); break;
                case 6: line[at] = line[at].ToUpperInvariant(); break;
                default: line[at] = random.Of(Values); break;
            }
        }
        return Encoding.UTF8.GetBytes(string.Join('\n', line));
    }
}
