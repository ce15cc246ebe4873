using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Tests;

/// <summary>The border between the kernels and C#: generated files, layouts, codes and shared memory, against what g++
/// reports of the kernels (build/border.sh).</summary>
public class LayoutTests
{
    [Fact]
    public void GeneratedFilesMatchTheKernels() => Border("--check");

    [Fact]
    public void StructsHaveTheCompilersOffsets()
    {
        var facts = Facts();
        var sizes = facts.Where(f => f.Kind == "size").ToArray();
        Assert.True(sizes.Length >= 50, $"only {sizes.Length} structs were found");
        Assert.All(sizes, f => Assert.Equal((f.Name, f.Value), (f.Name, Marshal.SizeOf(TypeOf(f.Name)))));
        Assert.All(facts.Where(f => f.Kind == "offset"), f =>
        {
            var (type, field) = Split(f.Name);
            // Reserved bytes at the end of a struct are part of its size alone.
            if (field == "Reserved" && TypeOf(type).GetField(field) is null) return;
            Assert.Equal((f.Name, f.Value), (f.Name, Marshal.OffsetOf(TypeOf(type), field)));
        });
    }

    [Fact]
    public void CodesHaveTheSameNamesAndValues()
    {
        var enums = Facts().Where(f => f.Kind == "enum").GroupBy(f => Split(f.Name).Type).ToArray();
        Assert.True(enums.Length >= 10, $"only {enums.Length} enums were found");
        Assert.All(enums, codes =>
        {
            var type = TypeOf(codes.Key);
            Assert.Equal(
                codes.Select(f => (Split(f.Name).Field, f.Value)).OrderBy(f => f.Value),
                Enum.GetNames(type).Select(name => (name, Convert.ToInt64(Enum.Parse(type, name), Invariant)))
                    .OrderBy(f => f.Item2));
        });
    }

    // A constant's value is in the generated file. A formula is compared at the shapes that border.sh takes.
    [Fact]
    public void SharedMemoryMatchesTheKernels()
    {
        var declared = Facts().Where(f => f.Kind == "shared").ToArray();
        Assert.True(declared.Count(f => f.Name.Contains('(')) >= 15, "too few shapes of formulas were found");
        Assert.All(declared, f =>
        {
            var (name, arguments) = f.Name.Split('(') is [var n, var a] ? (n, a.TrimEnd(')')) : (f.Name, null);
            var value = arguments is null
                ? typeof(SharedMemory).GetField(name)?.GetRawConstantValue()
                : typeof(SharedMemory).GetMethod(name)?.Invoke(null,
                    [.. arguments.Split(',').Select(x => (object)int.Parse(x, Invariant))]);
            Assert.Equal((f.Name, (int)f.Value), (f.Name, Assert.IsType<int>(value)));
        });
    }

    static CultureInfo Invariant => CultureInfo.InvariantCulture;

    static Type TypeOf(string name) => Assert.Single(typeof(DeviceInfo).Assembly.GetTypes(), t => t.Name == name);

    static (string Type, string Field) Split(string name) => name.Split('.') is [var type, var field] ? (type, field)
        : throw new InvalidDataException(name);

    static (string Kind, string Name, long Value)[] Facts() =>
    [
        .. Border("--facts").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' '))
            .Select(words => (words[0], words[1], long.Parse(words[2], Invariant))),
    ];

    static string Border(string option)
    {
        const int noCompiler = 3;
        Process process;
        try
        {
            process = Process.Start(new ProcessStartInfo("bash", ["build/border.sh", option])
            {
                WorkingDirectory = Repository.Root, RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("bash is not on this machine: build/border.sh was not run");
            throw;
        }
        using (process)
        {
            var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            var output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode == noCompiler)
                Assert.Skip("g++ is not on this machine: the kernels were not compiled");
            Assert.True(process.ExitCode == 0, error.Result);
            return output;
        }
    }
}
