using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Cli;

/// <summary>The command line of the two records: one option a field, in one place. Defaults are the ones that the shipped data were tuned with.</summary>
sealed class Settings
{
    static readonly TrainConfig Default = new();

    readonly Option<int> latents = New("--latents", "n: width of the dictionary", 4096);
    readonly Option<int> k = New("--k", "active latents a row", 32);
    readonly Option<int> auxK = New("--aux-k", "dead latents that explain the residual of a row; 0 for no auxiliary loss", 256);
    readonly Option<float> auxCoefficient = New("--aux-coefficient", "weight of the auxiliary loss", 0.25f);
    readonly Option<long> deadAfter = New("--dead-after", "rows without firing after which a latent is dead; 0 for 1/60 of --vectors, at most 10 million", 0L);
    readonly Option<bool> auxRelu = New("--aux-relu", "ReLU on the dead latents' pre-activations", true);
    readonly Option<DecoderNorm> decoderNorm = New("--decoder-norm", "constraint on decoder rows: unit or free", DecoderNorm.Unit);
    readonly Option<int> batchRows = New("--batch-rows", "B: rows in a batch", Default.BatchRows);
    readonly Option<long> vectors = New("--vectors", "rows to see in all", Default.Vectors);
    readonly Option<ulong> seed = New("--seed", "of weights, shuffle and rounding", Default.Seed);
    readonly Option<float> learningRate = New("--learning-rate", "step size at its peak", Default.LearningRate);
    readonly Option<float> warmup = New("--warmup-fraction", "share of the steps over which it rises", Default.WarmupFraction);
    readonly Option<float> decay = New("--decay-fraction", "share of the steps, at the end, over which it falls to 0", Default.DecayFraction);
    readonly Option<OptimizerKind> optimizer = New("--optimizer", "adam or sgd", Default.Optimizer);
    readonly Option<float> beta1 = New("--beta1", "Adam's decay of the first moment", Default.Beta1);
    readonly Option<float> beta2 = New("--beta2", "Adam's decay of the second moment", Default.Beta2);
    readonly Option<float> epsilon = New("--epsilon", "Adam's epsilon", Default.Epsilon);
    readonly Option<bool> lazy = New("--lazy", "update touched rows only; equals Adam when --beta1 is 0", Default.Lazy);
    readonly Option<ClipKind> clip = New("--clip", "gradient clipping: none, perRow, previousNorm or globalNorm", Default.Clip);
    readonly Option<float> clipNorm = New("--clip-norm", "largest gradient norm let through", Default.ClipNorm);
    readonly Option<WeightStorage> storage = New("--storage", "weights on a device: splitFloat32 or bfloat16", Default.Storage);
    readonly Option<float> ema = New("--ema-decay", "decay of the saved average of the weights; 0 for none", Default.EmaDecay);
    readonly Option<DecoderBiasInit> decoderBias = New("--decoder-bias", "b_dec at the start: zero, mean or geometricMedian", Default.DecoderBias);
    readonly Option<float> encoderNorm = New("--encoder-init-norm", "norm of encoder rows at the start", Default.EncoderInitNorm);
    readonly Option<bool> scaleInputs = New("--scale-inputs", "scale inputs to a mean norm of √d while training", Default.ScaleInputs);
    readonly Option<int> validateEvery = New("--validate-every", "steps between checks against the dense path; 0 for none", Default.ValidateEvery);
    readonly Option<int> logEvery = New("--log-every", "steps between two lines of the log", Default.LogEvery);
    readonly Option<int> checkpointEvery = New("--checkpoint-every", "steps between two checkpoints; 0 for one at the end", Default.CheckpointEvery);
    readonly Option<NonFiniteRows> nonFinite = New("--non-finite", "rows with NaN or infinity: stop or skip", Default.NonFinite);

    public Option<BackendKind> Backend { get; } = New("--backend", "auto, cuda, cpu or emulator", BackendKind.Auto);

    public void AddTo(Command command)
    {
        Option[] all = [latents, k, auxK, auxCoefficient, deadAfter, auxRelu, decoderNorm, batchRows, vectors, seed, learningRate, warmup, decay, optimizer,
            beta1, beta2, epsilon, lazy, clip, clipNorm, storage, ema, decoderBias, encoderNorm, scaleInputs, validateEvery, logEvery, checkpointEvery, nonFinite, Backend];
        foreach (var option in all) command.Options.Add(option);
    }

    public SaeSpec Spec(ParseResult parsed, int inputWidth)
    {
        var dead = parsed.GetValue(deadAfter);
        if (dead == 0) dead = Math.Clamp(parsed.GetValue(vectors) / 60, 1, 10_000_000);
        return new SaeSpec
        {
            InputWidth = inputWidth,
            Latents = parsed.GetValue(latents),
            Selection = new Selection.TopK(parsed.GetValue(k)),
            Aux = parsed.GetValue(auxK) > 0 ? new(parsed.GetValue(auxK), parsed.GetValue(auxCoefficient), dead, parsed.GetValue(auxRelu)) : null,
            DecoderNorm = parsed.GetValue(decoderNorm),
        }.Validate();
    }

    public TrainConfig Config(ParseResult parsed) => new TrainConfig
    {
        BatchRows = parsed.GetValue(batchRows),
        Vectors = parsed.GetValue(vectors),
        Seed = parsed.GetValue(seed),
        LearningRate = parsed.GetValue(learningRate),
        WarmupFraction = parsed.GetValue(warmup),
        DecayFraction = parsed.GetValue(decay),
        Optimizer = parsed.GetValue(optimizer),
        Beta1 = parsed.GetValue(beta1),
        Beta2 = parsed.GetValue(beta2),
        Epsilon = parsed.GetValue(epsilon),
        Lazy = parsed.GetValue(lazy),
        Clip = parsed.GetValue(clip),
        ClipNorm = parsed.GetValue(clipNorm),
        Storage = parsed.GetValue(storage),
        EmaDecay = parsed.GetValue(ema),
        DecoderBias = parsed.GetValue(decoderBias),
        EncoderInitNorm = parsed.GetValue(encoderNorm),
        ScaleInputs = parsed.GetValue(scaleInputs),
        ValidateEvery = parsed.GetValue(validateEvery),
        LogEvery = parsed.GetValue(logEvery),
        CheckpointEvery = parsed.GetValue(checkpointEvery),
        NonFinite = parsed.GetValue(nonFinite),
    }.Validate();

    public static Option<T> New<T>(string name, string description, T standard) =>
        new(name) { Description = description, DefaultValueFactory = _ => standard };
}
