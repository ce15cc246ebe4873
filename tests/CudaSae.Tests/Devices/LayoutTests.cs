using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Text;
using Xunit;

namespace CudaSae.Tests;

/// <summary>kernels/params.h and what it includes, as g++ lays it out, against its C# mirrors: sizes, and the offset of every field.</summary>
public partial class LayoutTests
{
    [GeneratedRegex(@"struct (\w+)\s\{(.*?)\n\}", RegexOptions.Singleline)]
    private static partial Regex Structs();

    [GeneratedRegex(@"\b(\w+)(?:\[\d+\])?\s*(?=[,;])")]
    private static partial Regex Names();

    [Fact]
    public void MirrorsHaveTheCompilersOffsets()
    {
        var structs = Headers.SelectMany(h => Structs().Matches(File.ReadAllText(h))).ToDictionary(m => m.Groups[1].Value, m => Fields(m.Groups[2].Value));
        Assert.True(structs.Count >= 50, $"only {structs.Count} structs were found in {Folder}");
        var offsets = Compile(structs);
        foreach (var (name, fields) in structs)
        {
            var mirror = new[] { typeof(DeviceInfo).Assembly }.SelectMany(a => a.GetTypes()).SingleOrDefault(t => t.Name == name);
            Assert.True(mirror is not null, $"{name} has no mirror in C#");
            Assert.True(offsets[name] == Size(mirror), $"{name} has {offsets[name]} bytes, its mirror {Size(mirror)}");
            foreach (var field in fields.Where(f => f != "reserved"))
            {
                var pascal = Pascal(field);
                Assert.True(mirror.GetField(pascal) is not null, $"{name}.{field} has no field {pascal} in C#");
                Assert.Equal((name, field, offsets[$"{name}.{field}"]), (name, field, (int)Marshal.OffsetOf(mirror, pascal)));
            }
        }
    }

    // So that who finds one finds the other: kernels/params/encode_columns.h, Devices/Params/EncodeColumnsParams.cs.
    [Fact]
    public void AMirrorLiesInTheFileOfItsHeadersName()
    {
        (string Struct, string File)[] Found(string[] files) =>
            [.. files.SelectMany(f => Structs().Matches(File.ReadAllText(f)).Select(m => (m.Groups[1].Value, Path.GetFileNameWithoutExtension(f)))).Order()];

        string[] elsewhere = ["StepScalars", "StepSums", "LatentScalars", "EntryGradient"];     // public, or the CPU backend's too
        var headers = Found(Headers).Where(h => !elsewhere.Contains(h.Struct)).Select(h => (h.Struct, Pascal(h.File) + "Params"));
        Assert.Equal(headers, Found(Directory.GetFiles(Path.Combine(Repository.Root, "src", "CudaSae", "Devices", "Params"))));
    }

    static string Folder => Path.Combine(Repository.Root, "kernels", "params");

    static string[] Headers => Directory.GetFiles(Folder, "*.h");

    static string Pascal(string words) => string.Concat(words.Split('_').Select(w => char.ToUpperInvariant(w[0]) + w[1..]));

    static int Size(Type type) => Marshal.SizeOf(type);

    static string[] Fields(string body) =>
        [.. body.Split('\n').Select(line => Regex.Replace(line, "//.*", "")).SelectMany(line => Names().Matches(line).Select(m => m.Groups[1].Value))];

    static Dictionary<string, int> Compile(Dictionary<string, string[]> structs)
    {
        var source = new StringBuilder("#include \"params.h\"\n#include <cstddef>\n#include <cstdio>\nint main() {\n");
        foreach (var (name, fields) in structs)
        {
            source.AppendLine($"printf(\"{name} %zu\\n\", sizeof({name}));");
            foreach (var field in fields) source.AppendLine($"printf(\"{name}.{field} %zu\\n\", offsetof({name}, {field}));");
        }
        source.AppendLine("}");
        var folder = Directory.CreateTempSubdirectory("layout");
        try
        {
            File.WriteAllText(Path.Combine(folder.FullName, "layout.cpp"), source.ToString());
            try { Run("g++", $"-std=c++17 -I {Path.Combine(Repository.Root, "kernels")} -o {folder.FullName}/layout {folder.FullName}/layout.cpp"); }
            catch (System.ComponentModel.Win32Exception) { Assert.Skip("g++ is not on this machine: params.h was not compiled"); }
            return Run($"{folder.FullName}/layout", "").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ')).ToDictionary(p => p[0], p => int.Parse(p[1]));
        }
        finally { folder.Delete(recursive: true); }
    }

    static string Run(string program, string arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, error) = (process.StandardOutput.ReadToEnd(), process.StandardError.ReadToEnd());
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, error);
        return output;
    }
}
