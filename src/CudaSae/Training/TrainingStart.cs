using CudaSae.Activations;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>What a run takes from its data before the first step: scales, and starting weights.</summary>
sealed class TrainingStart
{
    readonly DataStatistics input;
    readonly DataStatistics? target;

    /// <param name="rows">Training rows: the first ones of the source.</param>
    public TrainingStart(ActivationSource source, long rows, SaeSpec spec, TrainConfig config)
    {
        if (source.Width != spec.RowWidth)
            throw new SaeException($"the data are {source.Width} wide, the SAE takes {spec.RowWidth}");
        input = new(source, rows, config.Seed, 0, spec.InputWidth);
        if (spec.Transcoder is not null) target = new(source, rows, config.Seed, spec.InputWidth, spec.OutputWidth);
        Scale = ScaleOf(spec, config);
        Warning = NormShare.Of(input).Warning(IsCentred(spec, config), config.ScaleInputs,
            Scaling.IsDominated(input));
    }

    /// <param name="same">The start of a run over the same rows with the same seed: its statistics are taken.</param>
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

    /// <summary>One line for people where a dimension of the input dominates its norm; null where none does.</summary>
    public string? Warning { get; }

    public SaeParameters Weights(SaeSpec spec, TrainConfig config)
    {
        var parameters = new SaeParameters(spec);
        Initialization.Fill(parameters, spec, config, input, Scale, target);
        return parameters;
    }
}
