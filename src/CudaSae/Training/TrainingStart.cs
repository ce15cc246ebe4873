using CudaSae.Activations;
using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>Derives from the data what a run needs before the first step: scales and initial weights.</summary>
sealed class TrainingStart
{
    readonly DataStatistics input;
    readonly DataStatistics? target;

    /// <summary>Measures the data.</summary>
    /// <param name="rows">Number of training rows, the first of the source.</param>
    public TrainingStart(ActivationSource source, long rows, SaeSpec spec, TrainConfig config)
    {
        if (source.Width != spec.RowWidth)
            throw new SaeException($"the data is {source.Width} wide, but the SAE takes {spec.RowWidth}");
        input = new(source, rows, config.Seed, 0, spec.InputWidth);
        if (spec.Transcoder is not null) target = new(source, rows, config.Seed, spec.InputWidth, spec.OutputWidth);
        Scale = ScaleOf(spec, config);
        Warning = NormShare.Of(input).Warning(IsCentred(spec, config), config.ScaleInputs,
            Scaling.IsDominated(input));
    }

    /// <summary>Uses the statistics of another start.</summary>
    /// <param name="same">The start of a run over the same rows with the same seed.</param>
    public TrainingStart(TrainingStart same, SaeSpec spec, TrainConfig config)
    {
        (input, target, Warning) = (same.input, same.target, same.Warning);
        Scale = ScaleOf(spec, config);
    }

    DataScale ScaleOf(SaeSpec spec, TrainConfig config) => target is null
        ? Scaling.Measure(input, config, IsCentred(spec, config)) : Scaling.Measure(input, target, config);

    static bool IsCentred(SaeSpec spec, TrainConfig config) => spec.Transcoder is null && spec.PreEncoderBias
        && config.DecoderBias != DecoderBiasInit.Zero;

    public DataScale Scale { get; }

    /// <summary>A warning of one line if a dimension of the input dominates its norm; otherwise null.</summary>
    public string? Warning { get; }

    /// <summary>Makes the initial weights.</summary>
    /// <param name="shard">The share of a rank, which gets the rows of its own latents; null for all.</param>
    public SaeParameters Weights(SaeSpec spec, TrainConfig config, ShardPlan? shard = null)
    {
        var parameters = new SaeParameters(OwnLatents.Of(spec, shard));
        Initialization.Fill(parameters, spec, config, input, Scale, target, shard?.First ?? 0);
        return parameters;
    }
}
