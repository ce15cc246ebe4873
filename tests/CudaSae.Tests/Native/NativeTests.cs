using System.Diagnostics;
using System.Runtime.InteropServices;
using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>libcudasae.so from C and Python. It is compiled from the engine's sources, so results must have the same
/// bits.</summary>
[Trait("speed", "slow")]
public class NativeTests
{
    const int D = 24, B = 64, Steps = 20;

    const string Settings =
        """{"preset": "topk", "input_width": 24, "latents": 128, "k": 4, "backend": "cpu","""
        + """ "config": {"batch_rows": 64, "vectors": 1280}}""";

    static readonly string folder = Path.Combine(Repository.Root, "artifacts", "native");

    static void RequireLibrary() =>
        Assert.SkipUnless(File.Exists(Path.Combine(folder, "libcudasae.so")),
            "the native library is not built: bash build/native.sh builds it");

    static (int Code, string Output, string Error) Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true
        };
        start.Environment["PYTHONPATH"] = folder;
        start.Environment["CUDASAE_EMULATOR"] = Emulator.FindLibrary() ?? "";
        start.Environment["OPENBLAS_CORETYPE"] = "SkylakeX";       // an old OpenBLAS does not recognise new CPUs
        return CliProgram.Run(start);
    }

    static void Works(string program, params string[] arguments)
    {
        var (code, output, error) = Run(program, arguments);
        Assert.True(code == 0, $"{Path.GetFileName(program)} {string.Join(' ', arguments)}: {code}\n{output}\n{error}");
    }

    /// <summary>Returns the first Python that has a module.</summary>
    static string PythonWith(string module)
    {
        foreach (var python in new[] { "python3", "/usr/bin/python3" })
            try
            {
                if (Run(python, "-c", $"import {module}").Code == 0) return python;
            }
            catch (System.ComponentModel.Win32Exception) { }        // this Python does not exist
        Assert.Skip($"no Python with {module}: apt-get install python3-{module}");
        return "";
    }

    [Fact]
    public void TheCExampleTrainsSavesLoadsAndEncodes()
    {
        RequireLibrary();
        using var temporary = new TemporaryFolder();
        var source = Path.Combine(Repository.Root, "src/CudaSae.Native/examples/train.c");
        Works("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", source, "-I", folder, "-L", folder, "-lcudasae",
            $"-Wl,-rpath,{folder}", "-lm", "-o", temporary["train"]);
        Works(temporary["train"], temporary["sae"]);
        using var sae = Sae.Load(temporary["sae"], BackendKind.Cpu);
        Assert.Equal((32, 128), (sae.InputWidth, sae.Latents));
    }

    static void SaveNpy<T>(string path, ReadOnlySpan<T> numbers, int width) where T : unmanaged
    {
        using var stream = File.Create(path);
        stream.Write(NpyFile.MakeHeader(typeof(T) == typeof(float) ? "<f4" : "<i4", numbers.Length / width, width));
        stream.Write(MemoryMarshal.AsBytes(numbers));
    }

    /// <summary>Writes rows, and the managed engine's results for them.</summary>
    static void WriteExpected(TemporaryFolder into)
    {
        var random = new Random(5);
        var rows = Enumerable.Range(0, Steps * B * D).Select(i => (float)(random.NextDouble() - 0.3 + 0.05 * (i % 7)))
            .ToArray();
        SaveNpy<float>(into["rows.npy"], rows, D);
        File.WriteAllText(into["settings.json"], Settings);
        using var trainer = TrainerSettings.Parse(Settings).Create();
        for (var step = 0; step < Steps; step++) trainer.Step(rows.AsSpan(step * B * D, B * D));
        File.WriteAllText(into["loss.txt"],
            trainer.Metrics().Loss.ToString("R", System.Globalization.CultureInfo.InvariantCulture));
        using (var trained = trainer.Model()) trained.Save(into["expected_sae"]);
        using var sae = Sae.Load(into["expected_sae"], BackendKind.Cpu);
        var (codes, reconstruction) = (new SparseRows(), new float[300 * D]);
        sae.Reconstruct(rows.AsSpan(0, 300 * D), reconstruction, codes);
        SaveNpy(into["starts.npy"], codes.RowStarts, 1);
        SaveNpy(into["indices.npy"], codes.AllIndices, 1);
        SaveNpy(into["values.npy"], codes.AllValues, 1);
        SaveNpy<float>(into["reconstruction.npy"], reconstruction, D);
        using var tiny = new TrainerSettings
        {
            InputWidth = 4, Latents = 8, K = 2, Backend = BackendKind.Cpu,
            Config = new() { ["batch_rows"] = 8, ["vectors"] = 8 }
        }.Create();
        tiny.Step(rows.AsSpan(0, 32));
        using var model = tiny.Model();
        model.Save(into["tiny"]);
    }

    [Fact]
    public void PythonReturnsTheManagedEnginesResultsAndRefusals()
    {
        RequireLibrary();
        var python = PythonWith("numpy");
        using var temporary = new TemporaryFolder();
        WriteExpected(temporary);
        Works(python, Path.Combine(Repository.Root, "tests/python/native.py"), temporary[""]);
    }

    [Fact]
    public void TheTorchExampleTrainsFromAHook()
    {
        RequireLibrary();
        var python = PythonWith("torch");
        using var temporary = new TemporaryFolder();
        Works(python, Path.Combine(Repository.Root, "src/CudaSae.Native/examples/torch_hook.py"), temporary["sae"]);
    }

    [Fact]
    public void SettingsMatchTheCommandLine()
    {
        var (spec, config) =
            TrainerSettings.Parse("""{"input_width": 16, "latents": 64, "k": 4, "preset": "jumprelu","""
                + """ "spec": {"selection.bandwidth": 0.25, "pre_act": null},"""
                + """ "config": {"vectors": 60000, "seed": 3}}""").Records();
        var (_, expected) = Preset.Named("jumprelu").Make(16, 64, 4, new() { Vectors = 60000, Seed = 3 });
        Assert.Equal(expected, config);
        Assert.Equal(0.25f, ((Selection.JumpRelu)spec.Selection).Bandwidth);
        Assert.Equal(1000,
            TrainerSettings.Parse("""{"input_width": 16, "latents": 64, "config": {"vectors": 60000}}""").Records()
                .Spec.Aux!.DeadAfterTokens);
        foreach (var (json, reason) in new[] { ("""{"latents": 64}""", "input_width"), ("[1]", "settings"),
            ("{", "settings"), ("""{"input_width": 16, "latents": 64, "wrong": 1}""", "wrong"), ("null", "null") })
            Assert.Contains(reason, Assert.Throws<SaeException>(() => TrainerSettings.Parse(json)).Message);
    }
}
