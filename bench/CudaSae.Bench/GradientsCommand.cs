using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Cli;
using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae.Bench;

/// <summary>cudasae-bench gradients: loss and gradients of one TopK batch, and the losses of a few whole steps, which
/// bench/peers/check_peers.py holds against autograd.</summary>
static class GradientsCommand
{
    public static Command Create()
    {
        var problem = new Argument<string>("PROBLEM")
        {
            Description = "safetensors: x [B, d], W_enc and W_dec [n, d], b_enc [n], b_dec [d]"
        };
        var result = new Argument<string>("RESULT")
        {
            Description = "safetensors: loss [1], the four gradients under the weights' names, losses [steps]"
        };
        var k = Options.New("--k", "active latents a row", 4, 1, SaeSpec.MaxActive);
        var steps = Options.New("--steps", "steps of Adam at 0.001, unit decoder rows, whose losses are written", 5, 0,
            1 << 20);
        var backend = Settings.NewBackend("auto, cuda, cpu or emulator");
        var command = new Command("gradients",
            "Write one batch's loss and gradients, to compare with other programs.") { problem, result, k, steps,
                backend };
        command.SetAction(parsed =>
        {
            Run(parsed.GetValue(problem)!, parsed.GetValue(result)!, parsed.GetValue(k), parsed.GetValue(steps),
                parsed.GetValue(backend));
            return 0;
        });
        return command;
    }

    /// <summary>Plain TopK: no AuxK, no clipping, b_dec subtracted, L = Σ‖x̂ − x‖² / B.</summary>
    public static void Run(string problem, string result, int k, int steps, BackendKind kind)
    {
        using var file = TensorFile.Open(problem);
        var (x, w) = (file.Require("x", "F32", -1, -1), file.Require("W_enc", "F32", -1, -1));
        var spec = new SaeSpec
        {
            InputWidth = (int)x.Shape[1], Latents = (int)w.Shape[0], Selection = new Selection.TopK(k),
            DecoderNorm = DecoderNorm.Free
        };
        using var weights = new SaeParameters(spec);
        file.Matrix("W_enc", weights.WEnc);
        file.Matrix("W_dec", weights.WDec);
        file.Vector("b_enc", spec.Latents).CopyTo(weights.BEnc, 0);
        file.Vector("b_dec", spec.InputWidth).CopyTo(weights.BDec, 0);
        var rows = new byte[x.Bytes];
        file.Read(x, 0, rows);
        var config = new TrainConfig
        {
            BatchRows = (int)x.Shape[0], Vectors = x.Shape[0] * Math.Max(1, steps), WarmupFraction = 0,
            DecayFraction = 0
        };

        SafetensorsWriter.Write(result,
        [
            .. Gradients(spec, config with { Optimizer = OptimizerKind.Sgd }, weights, rows, kind),
            TensorToWrite.Of("losses",
                Losses(spec with { DecoderNorm = DecoderNorm.Unit }, config with { LearningRate = 1e-3f }, weights,
                    rows, steps, kind)),
        ]);
    }

    /// <summary>One step of plain descent at rate 1 on L · B, which keeps gradients large beside the weights' rounding:
    /// what the weights moved by, over B, is the gradient.</summary>
    static TensorToWrite[] Gradients(SaeSpec spec, TrainConfig config, SaeParameters weights, byte[] rows,
        BackendKind kind)
    {
        var after = new SaeParameters(spec);
        using var backend = BackendFactory.Create(kind, spec, config, InputType.Float32, static (_, _) => { }, out _);
        backend.SetParameters(weights);
        var loss = Step(backend, rows, 1, lossScale: 1, learningRate: 1);
        backend.GetParameters(after);
        var scale = 1f / config.BatchRows;
        for (var f = 0; f < spec.Latents; f++)
        {
            Difference(weights.WEnc[f], after.WEnc[f], scale);
            Difference(weights.WDec[f], after.WDec[f], scale);
        }
        Difference(weights.BEnc, after.BEnc, scale);
        Difference(weights.BDec, after.BDec, scale);
        return [TensorToWrite.Of("loss", [loss]), TensorToWrite.Of("W_enc", after.WEnc),
            TensorToWrite.Of("W_dec", after.WDec), TensorToWrite.Of("b_enc", after.BEnc),
            TensorToWrite.Of("b_dec", after.BDec)];
    }

    static void Difference(ReadOnlySpan<float> before, Span<float> after, float scale)
    {
        for (var i = 0; i < before.Length; i++) after[i] = (before[i] - after[i]) * scale;
    }

    static float[] Losses(SaeSpec spec, TrainConfig config, SaeParameters weights, byte[] rows, int steps,
        BackendKind kind)
    {
        using var backend = BackendFactory.Create(kind, spec, config, InputType.Float32, static (_, _) => { }, out _);
        backend.SetParameters(weights);
        return [.. Enumerable.Range(1, steps)
            .Select(t => Step(backend, rows, t, 1f / config.BatchRows, config.LearningRate))];
    }

    /// <summary>One step on the batch; its loss, Σ‖x̂ − x‖² / B, before the update.</summary>
    static float Step(IBackend backend, byte[] rows, int t, float lossScale, float learningRate)
    {
        var scalars = Schedules.Scalars(backend.Spec, backend.Config, new(1, backend.Spec.InputWidth), t);
        (scalars.LossScale, scalars.LearningRate) = (lossScale, learningRate);
        var slot = t & 1;
        backend.WaitForSlot(slot);
        rows.CopyTo(backend.InputSlot(slot));
        backend.BeginStep(slot, scalars);
        backend.Prepare();
        backend.EncodeSelect();
        backend.DecodeLoss();
        backend.AuxLoss();
        backend.Backward();
        backend.Optimize();
        backend.TrackLatents();
        backend.EndStep();
        return (float)(backend.ReadSums().SquaredError / backend.Config.BatchRows);
    }
}
