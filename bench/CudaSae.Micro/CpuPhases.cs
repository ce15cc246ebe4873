using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using CudaSae.Backends.Cpu;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;
using BenchmarkDotNet.Attributes;

namespace CudaSae.Micro;

/// <summary>Runs the CPU backend's phases on random data, one after another as in a step.</summary>
[MemoryDiagnoser]
[SuppressMessage("Design", "CA1001", Justification = "BenchmarkDotNet calls Cleanup.")]
public class CpuPhases
{
    CpuBackend backend = null!;

    [Params(512, 768)]
    public int Width { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        var spec = new SaeSpec { InputWidth = Width, Latents = 8 * Width, Selection = new Selection.TopK(32) };
        backend = new(spec, new() { BatchRows = 1024, Vectors = 1024 }, InputType.Float32);
        using var parameters = new SaeParameters(spec);
        var random = new Random(1);
        for (var f = 0; f < spec.Latents; f++)
            for (var i = 0; i < Width; i++)
                parameters.WEnc[f][i] =
                    parameters.WDec[f][i] = (float)((random.NextDouble() - 0.5) * Math.Sqrt(12.0 / Width));
        backend.SetParameters(parameters);
        foreach (ref var x in MemoryMarshal.Cast<byte, float>(backend.InputSlot(0)))
            x = (float)(random.NextDouble() - 0.5) * 3.4f;
        backend.BeginStep(0, Schedules.Scalars(spec, backend.Config, new(1, Width), 1));
        backend.Prepare();
        backend.EncodeSelect();
        backend.DecodeLoss();
        backend.Backward();
    }

    [Benchmark] public void Encode() => backend.EncodeSelect();
    [Benchmark] public void Decode() => backend.DecodeLoss();
    [Benchmark] public void Backward() => backend.Backward();
    [Benchmark] public void Optimize() => backend.Optimize();

    [GlobalCleanup]
    public void Cleanup() => backend.Dispose();
}
