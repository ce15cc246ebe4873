using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Lab.Verification;

/// <summary>Makes small seeded SAEs and inputs. Weights and inputs are bfloat16 numbers, so that targets that round
/// their operands start from the same numbers as the others. Gradients are of order 1 (loss scale 1/B).</summary>
sealed class SmallProblem
{
    public SmallProblem(int rows = 16, int width = 48, int latents = 96, int active = 6, AuxLoss? aux = null,
        TrainConfig? config = null, ulong seed = 1,
        DecoderNorm norm = DecoderNorm.Unit)
        : this(new()
        {
            InputWidth = width, Latents = latents, Selection = new Selection.TopK(active), Aux = aux,
            DecoderNorm = norm
        },
            rows, config, seed)
    { }

    public SmallProblem(SaeSpec spec, int rows = 16, TrainConfig? config = null, ulong seed = 1)
    {
        Spec = spec;
        Config = (config ?? new()) with { BatchRows = rows, Vectors = 1000L * rows };
        Spec.Validate();
        Config.Validate();
        random = new Random((int)seed);
        Parameters = new(Spec);
        for (var f = 0; f < spec.Latents; f++)
        {
            double norm2 = 0;
            for (var i = 0; i < spec.InputWidth; i++) Parameters.WEnc[f][i] = Grid(Normal());
            for (var i = 0; i < spec.OutputWidth; i++)
            {
                Parameters.WDec[f][i] = (float)Normal();
                norm2 += Parameters.WDec[f][i] * Parameters.WDec[f][i];
            }
            // Rows have norm 1 if the spec requires it, and other norms otherwise.
            var scale = spec.DecoderNorm == DecoderNorm.Unit ? 1 : 0.7 + 0.5 * random.NextDouble();
            for (var i = 0; i < spec.OutputWidth; i++)
                Parameters.WDec[f][i] = Grid(scale * Parameters.WDec[f][i] / Math.Sqrt(norm2));
            Parameters.BEnc[f] = Grid(0.1 * Normal());
            // every fifth latent is silent
            if (f % 5 == 0 && spec.IsThresholded
                && (spec.Aux is not null || spec.Ghost is not null || spec.PreAct is { DeadOnly: true }))
                Parameters.BEnc[f] = spec.Ghost is null ? -40 : -6;
        }
        for (var i = 0; i < spec.OutputWidth; i++) Parameters.BDec[i] = Grid(0.1 * Normal());
        for (var f = 0; f < Parameters.Threshold.Length; f++) Parameters.Threshold[f] = Grid(1 + random.NextDouble());
        for (var f = 0; f < Parameters.BMag.Length; f++)
            (Parameters.BMag[f], Parameters.RMag[f]) = (Grid(0.5 * Normal()), Grid(0.2 * Normal()));
        for (var f = 0; f < Parameters.Scale.Length; f++) Parameters.Scale[f] = Grid(0.5 + random.NextDouble());
        for (var i = 0; i < Parameters.WSkip.Rows; i++)
            for (var j = 0; j < spec.InputWidth; j++) Parameters.WSkip[i][j] = Grid(0.1 * Normal());
    }

    Random random;

    public SaeSpec Spec { get; }
    public TrainConfig Config { get; }
    public SaeParameters Parameters { get; }

    /// <summary>Takes the weights and the batches of a smaller problem. Latents that it does not have are
    /// silent.</summary>
    /// <param name="place">Returns the place of a latent.</param>
    public void Spread(SmallProblem from, Func<int, int> place)
    {
        var (own, other) = (Parameters, from.Parameters);
        for (var f = 0; f < Spec.Latents; f++)
        {
            // A norm of 1 without rounding: the dense path normalizes the rows of silent latents, the reference does
            // not.
            own.BEnc[f] = -100;
            own.WDec[f].Clear();
            own.WDec[f][f % Spec.OutputWidth] = 1;
        }
        for (var f = 0; f < from.Spec.Latents; f++)
        {
            other.WEnc[f].CopyTo(own.WEnc[place(f)]);
            other.WDec[f].CopyTo(own.WDec[place(f)]);
            foreach (var (mine, theirs) in OwnLatents.Vectors(own).Zip(OwnLatents.Vectors(other)))
                if (mine.Length > 0) mine[place(f)] = theirs[f];
        }
        other.BDec.CopyTo(own.BDec, 0);
        other.WSkip.CopyTo(own.WSkip);
        random = from.random;
        from.Parameters.Dispose();
    }

    /// <summary>Makes a batch of bfloat16 numbers, [B, row width].</summary>
    public float[] Batch()
    {
        var batch = new float[Config.BatchRows * Spec.RowWidth];
        for (var i = 0; i < batch.Length; i++) batch[i] = Grid(Normal());
        return batch;
    }

    /// <summary>Writes a batch into a slot when the slot is free.</summary>
    public static void Feed(IBackend backend, int slot, ReadOnlySpan<float> batch)
    {
        backend.WaitForSlot(slot);
        MemoryMarshal.AsBytes(batch).CopyTo(backend.InputSlot(slot));
    }

    /// <summary>The scalars of step t as the trainer sets them, without schedules.</summary>
    public StepScalars Scalars(uint step, float learningRate = 0.01f, uint deadAfterSteps = 2)
    {
        var scalars = Schedules.Scalars(Spec, Config, new(1, 1), step);
        scalars.LearningRate = learningRate;
        scalars.LossScale = 1f / Config.BatchRows;
        scalars.DeadAfterSteps = deadAfterSteps;
        scalars.Penalty = (Spec.Penalty?.Coefficient ?? 0) / Config.BatchRows;
        if (Spec.Penalty is SparsityPenalty.Lp lp) (scalars.Power, scalars.NextPower) = (lp.Power, lp.Power / 2);
        return scalars;
    }

    double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    static float Grid(double x) => (float)Rounding.ToBFloat16(x);
}
