using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>The encoder's product alone, computed by the library (cuBLAS) on the encoder's operands and stored. Encode
/// does the same product without storing it.</summary>
sealed class PlainProduct(IPhases phases, BenchProblem problem)
{
    const long MostBytes = 1L << 30;
    const int SampleRows = 4, SampleColumns = 32;

    /// <summary>Creates the product after the phases ran on the problem's own weights. It has fewer columns than n if
    /// the result would take more than 1 GiB or a quarter of the free memory.</summary>
    public BenchRow Run(IDevice device, int repeats, Ceilings? machine)
    {
        var (x, w) = (Output(StepPhase.Prepare, "x_centered"), Output(StepPhase.Optimize, "w_enc_hi"));
        int B = problem.Config.BatchRows, pitch = (int)x.Array.Shape[1];
        var columns =
            (int)Math.Min(problem.Spec.Latents, Math.Max(64, Math.Min(MostBytes, device.FreeBytes() / 4) / 4 / B));
        var result = device.Allocate(4L * B * columns);
        try
        {
            void Launch() =>
                device.GemmNT(B, columns, pitch, x.Address, pitch, w.Address, pitch, result, columns, phases.Stream);
            using var clock = new DeviceClock(device, phases.Stream);
            var times = clock.Time(Launch, repeats, capture: false);
            var first = Hash(device, result, columns);
            device.Fill32(result, 0, (long)B * columns, phases.Stream);
            Launch();
            var again = Hash(device, result, columns);
            double flops = 2.0 * B * pitch * columns, bytes = 2.0 * pitch * (B + columns) + 4.0 * B * columns;
            return new()
            {
                Bench = "kernels", Name = "plain product", Shape = problem.Shape with
                {
                    Latents = columns
                }, Time = times.Count > 0
                    ? Timing.Of(times) : null, Flops = flops, Bytes = bytes, Tokens = B,
                FloorMs = machine is { } m ? new PhaseCost(StepPhase.Encode, flops, bytes).FloorMs(m)
                    : null, MaxError =
                        Error(device, result, columns), Checksum = (first, again), Note = "by the library, stored",
            };
        }
        finally
        {
            device.Free(result);
        }
    }

    PhaseOutput Output(StepPhase phase, string name) => phases.Outputs(phase).Single(o => o.Array.Name == name);

    byte[] Read(IDevice device, ulong from, int bytes)
    {
        var to = new byte[bytes];
        device.Download<byte>(to, from, phases.Stream);
        return to;
    }

    ulong Hash(IDevice device, ulong result, int columns)
    {
        var hash = new OutputHash();
        for (var b = 0; b < problem.Config.BatchRows; b++)
            hash.Add(Read(device, result + 4UL * (ulong)b * (ulong)columns, 4 * columns));
        return hash.Value;
    }

    /// <summary>Computes the error on the current operands: after a step the weights differ from the
    /// problem's.</summary>
    double Error(IDevice device, ulong result, int columns)
    {
        var (x, w) = (Output(StepPhase.Prepare, "x_centered"), Output(StepPhase.Optimize, "w_enc_hi"));
        var pitch = (int)x.Array.Shape[1];
        double worst = 0, scale = 1e-30;
        for (var i = 0; i < SampleRows; i++)
            for (var j = 0; j < SampleColumns; j++)
            {
                var (b, f) = ((long)i * problem.Config.BatchRows / SampleRows, (long)j * columns / SampleColumns);
                var (row, weights) = (Floats(device, x.Address + (ulong)(2 * b * pitch), pitch),
                    Floats(device, w.Address + (ulong)(2 * f * pitch), pitch));
                var exact = Enumerable.Range(0, pitch).Sum(at => (double)row[at] * weights[at]);
                (worst, scale) = (Math.Max(worst,
                    Math.Abs(exact - MemoryMarshal.Read<float>(Read(device, result + (ulong)(4 * (b * columns + f)),
                        4)))),
                    Math.Max(scale, Math.Abs(exact)));
            }
        return worst / scale;
    }

    float[] Floats(IDevice device, ulong from, int count) =>
        [.. MemoryMarshal.Cast<byte, ushort>(Read(device, from, 2 * count)).ToArray()
            .Select(h => BitConverter.UInt32BitsToSingle((uint)h << 16))];
}
