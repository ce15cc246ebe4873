using System.CommandLine;
using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Cli;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae.Bench;

/// <summary>cudasae-bench memory: the memory plan against what the process took.</summary>
static class PlannedMemory
{
    public static Command Create()
    {
        var rows = BenchCommands.Number("B", "rows in a batch", 4096);
        var width = BenchCommands.Number("d", "width of the input", 768);
        var latents = BenchCommands.Number("n", "width of the dictionary", 65_536);
        var active = BenchCommands.Number("k", "active latents a row", 64);
        var command = new Command("memory", "Compare the memory plan with what a training process takes.")
        {
            rows, width, latents, active,
        };
        command.SetAction(parsed => Run(parsed.GetValue(rows), parsed.GetValue(width), parsed.GetValue(latents),
            parsed.GetValue(active)));
        return command;
    }

    static int Run(int b, int d, int n, int k)
    {
        // latents silent for one batch are dead, so that AuxK takes its memory too
        var spec = new SaeSpec
        {
            InputWidth = d, Latents = n, Selection = new Selection.TopK(k), Aux = new(Math.Min(256, n), 1 / 32f, b)
        };
        var config = new TrainConfig { BatchRows = b, Vectors = 10L * b };
        var random = new Random(1);
        Warm();
        var before = PeakMemory.Resident();
        using var backend =
            BackendFactory.Create(BackendKind.Cpu, spec, config, InputType.Float32, static (_, _) => { }, out _);
        using (var weights = new SaeParameters(spec))
        {
            for (var f = 0; f < n; f++)
                for (var i = 0; i < d; i++)
                    weights.WEnc[f][i] = weights.WDec[f][i] = (random.NextSingle() - 0.5f) * 0.1f;
            backend.SetParameters(weights);
        }
        for (var slot = 0; slot < 2; slot++)
            foreach (ref var x in MemoryMarshal.Cast<byte, float>(backend.InputSlot(slot)))
                x = random.NextSingle() - 0.5f;
        var driver = new SaeStep(backend);
        for (var step = 1; step <= 3; step++)
            driver.Run(step % 2, Schedules.Scalars(spec, config, new(1, d / 12.0), step));
        using var saved = new SaeParameters(spec);        // as at the end of a run
        backend.GetParameters(saved);
        var took = PeakMemory.Resident() - before;
        // and the weights in float32, which a run starts from and saves
        var planned = backend.Plan.TotalBytes + 8L * n * d;
        Console.WriteLine($"[{b}, {d}], {n} latents, k {k}: planned {MemoryPlan.Format(planned)}, taken "
            + $"{MemoryPlan.Format(took)}, {100.0 * took / planned:0.0} %");
        return Math.Abs(took - planned) <= 0.03 * planned ? 0 : 1;
    }

    /// <summary>Code is compiled and threads are started outside the measurement.</summary>
    static void Warm()
    {
        var spec = new SaeSpec { InputWidth = 16, Latents = 64, Selection = new Selection.TopK(4) };
        using var trainer = new SaeTrainer(spec, new() { BatchRows = 16, Vectors = 64 }, BackendKind.Cpu);
        for (var i = 0; i < 4; i++)
            trainer.Step([.. Enumerable.Range(0, 256).Select(j => (float)Math.Sin(j * (i + 1)))]);
    }
}
