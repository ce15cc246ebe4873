using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Backends;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>The command line of the two records: a preset gives every number, an option that is written changes one,
/// --set reaches those that have no option.</summary>
sealed class Settings
{
    static readonly TrainConfig Default = new();

    readonly Option<string> preset =
        Options.New("--preset", "published recipe to start from (cudasae presets)", "topk");
    readonly Option<string[]> set = new("--set")
    {
        Description =
            "any field of the two records, as spec.FIELD=JSON or config.FIELD=JSON, in snake_case; repeatable",
        AllowMultipleArgumentsPerToken = false
    };
    readonly Option<int> latents = Options.New("--latents", "n: width of the dictionary", 4096, 1, 1 << 26);
    readonly Option<int> k =
        Options.New("--k", "active latents a row", 32, 1, SaeSpec.MaxActive);
    readonly Option<float> coefficient =
        Options.New("--coefficient", "λ of the sparsity penalty at its peak; the value of the preset if not given", 0f,
            0f, 1e6f);
    readonly Option<int> auxK =
        Options.New("--aux-k", "dead latents a row in the auxiliary loss; 0 for no auxiliary loss", 256, 0,
        SaeSpec.MaxActive);
    readonly Option<float> auxCoefficient =
        Options.New("--aux-coefficient", "weight of the auxiliary loss", 0.25f, 0f, 1e6f);
    readonly Option<long> deadAfter =
        Options.New("--dead-after",
        "rows without firing after which a latent is dead; 0 for 1/60 of --vectors, at "
        + "most 10 million, or for the window of a recipe that resamples", 0L, 0L, long.MaxValue);
    readonly Option<bool> auxRelu = Options.New("--aux-relu", "ReLU on the dead latents' pre-activations", true);
    readonly Option<DecoderNorm> decoderNorm =
        Options.New("--decoder-norm", "constraint on the norm of decoder rows", DecoderNorm.Unit);
    readonly Option<int> batchRows = Options.New("--batch-rows", "B: rows in a batch", Default.BatchRows, 1, 1 << 20);
    readonly Option<long> vectors = Options.New("--vectors", "rows to train on, over as many epochs as that takes",
        Default.Vectors, 1L, long.MaxValue);
    readonly Option<ulong> seed =
        Options.New("--seed", "seed of the weights, the shuffle and the rounding", Default.Seed);
    readonly Option<long> shuffleWindow =
        Options.New("--shuffle-window",
        "rows of a shuffle window, for data larger than memory; 0 for a shuffle of all rows",
        Default.ShuffleWindow, 0L, long.MaxValue);
    readonly Option<long> devicePool = NewDevicePool();
    readonly Option<float> learningRate =
        Options.New("--learning-rate", "learning rate at its peak", Default.LearningRate, 0f, 1e3f);
    readonly Option<float> warmup =
        Options.New("--warmup-fraction", "share of the steps over which the learning rate rises",
            Default.WarmupFraction, 0f, 1f);
    readonly Option<float> decay =
        Options.New("--decay-fraction", "share of the steps, at the end, over which the learning rate falls to 0",
        Default.DecayFraction, 0f, 1f);
    readonly Option<OptimizerKind> optimizer =
        Options.New("--optimizer", "the rule that moves the weights", Default.Optimizer);
    readonly Option<float> beta1 = Options.New("--beta1", "Adam's decay of the first moment", Default.Beta1, 0f, 1f);
    readonly Option<float> beta2 = Options.New("--beta2", "Adam's decay of the second moment", Default.Beta2, 0f, 1f);
    readonly Option<float> epsilon = Options.New("--epsilon", "Adam's epsilon", Default.Epsilon, 0f, 1f);
    readonly Option<float> weightDecay =
        Options.New("--weight-decay", "AdamW's decay of both matrices", Default.WeightDecay, 0f, 1f);
    readonly Option<MomentStorage> moments =
        Options.New("--moments", "storage of the optimizer's moments", Default.Moments);
    readonly Option<bool> lazy =
        Options.New("--lazy", "update touched rows only; equals Adam when --beta1 is 0", Default.Lazy);
    readonly Option<ClipKind> clip =
        Options.New("--clip", "gradient clipping: by row, by the norm of the last step, or of this one", Default.Clip);
    readonly Option<float> clipNorm =
        Options.New("--clip-norm", "largest gradient norm let through", Default.ClipNorm, 0f, 1e6f);
    readonly Option<WeightStorage> storage =
        Options.New("--storage", "storage of weights on a device", Default.Storage);
    readonly Option<float> ema =
        Options.New("--ema-decay", "decay of the saved average of the weights; 0 for none", Default.EmaDecay, 0f, 1f);
    readonly Option<DecoderBiasInit> decoderBias =
        Options.New("--decoder-bias", "b_dec at the start, from the data or 0", Default.DecoderBias);
    readonly Option<float> encoderNorm =
        Options.New("--encoder-init-norm", "norm of encoder rows at the start", Default.EncoderInitNorm, 0f, 1e6f);
    readonly Option<bool> scaleInputs =
        Options.New("--scale-inputs", "scale inputs to a mean norm of √d while training", Default.ScaleInputs);
    readonly Option<ScreeningKind> screening =
        Options.New("--screening",
        "kernels rule latents out by 8-bit products before they encode: for half a million "
        + "latents and more", Default.Screening);
    readonly Option<int> validateEvery =
        Options.New("--validate-every",
        "steps between two dense checks, which compute a batch again by dense products; 0 for none",
        Default.ValidateEvery, 0, int.MaxValue);
    readonly Option<int> logEvery =
        Options.New("--log-every", "steps between two lines of metrics.jsonl", Default.LogEvery, 1, int.MaxValue);
    readonly Option<int> checkpointEvery =
        Options.New("--checkpoint-every", "steps between two checkpoints; 0 for a checkpoint at the end alone",
        Default.CheckpointEvery, 0, int.MaxValue);
    readonly Option<int> keepCheckpoints =
        Options.New("--keep-checkpoints", "newest checkpoints to keep, beside the one of the lowest FVU",
        Default.KeepCheckpoints, 1, int.MaxValue);
    readonly Option<NonFiniteRows> nonFinite =
        Options.Without("--non-finite", "rows with NaN or infinity: stop with an error, or skip to leave them out",
        Default.NonFinite, NonFiniteRows.Replace);
    readonly Option<DivergenceAction> onDivergence =
        Options.New("--on-divergence",
        "when the loss is no number any more or above --spike-above: stop, or rollback to the newest checkpoint and "
        + "past the batches since", Default.OnDivergence);
    readonly Option<float> spikeAbove =
        Options.New("--spike-above", "times its running mean at which a loss is a divergence; 0 for none",
        Default.SpikeAbove, 0f, 1e6f);

    public Option<BackendKind> Backend { get; } = NewBackend("where to compute; auto takes a GPU if there is one");

    /// <param name="without">Names of options that the command has in a form of its own.</param>
    public void AddTo(Command command, params ReadOnlySpan<string> without)
    {
        Option[] all = [preset, set, latents, k, coefficient, auxK, auxCoefficient, deadAfter, auxRelu, decoderNorm,
            batchRows, vectors, seed, shuffleWindow, devicePool, learningRate, warmup, decay, optimizer,
            beta1, beta2, epsilon, weightDecay, moments, lazy, clip, clipNorm, storage, ema, decoderBias, encoderNorm,
            scaleInputs, screening, validateEvery, logEvery, checkpointEvery, keepCheckpoints, nonFinite, onDivergence,
            spikeAbove, Backend];
        foreach (var option in all)
            if (!without.Contains(option.Name)) command.Options.Add(option);
    }

    public Preset Preset(ParseResult parsed) => Model.Preset.Named(parsed.GetValue(preset)!);

    /// <param name="widths">Of the data's files: input, then a transcoder's target or a crosscoder's further
    /// sites.</param>
    public (SaeSpec Spec, TrainConfig Config) Records(ParseResult parsed, params int[] widths)
    {
        var (n, dead) = (parsed.GetValue(latents), DeadAfterRows(parsed));
        var (spec, config) =
            Preset(parsed).Make(widths[0], n, parsed.GetValue(k), Basis(parsed), made => Over(parsed, made), dead);
        spec = ForData(spec, widths);
        if (Given(parsed, decoderNorm)) spec = spec with { DecoderNorm = parsed.GetValue(decoderNorm) };
        if (Given(parsed, coefficient))
            spec = spec with
            {
                Penalty = (spec.Penalty
                    ?? throw new SaeException("--coefficient: this preset has no penalty; choose one with "
                        + "--preset")) with
                { Coefficient = parsed.GetValue(coefficient) }
            };
        if (Given(parsed, auxK) || Given(parsed, auxCoefficient) || Given(parsed, auxRelu))
        {
            var aux = Given(parsed, auxK) ? parsed.GetValue(auxK) : Math.Min(parsed.GetValue(auxK), n);
            spec = spec with
            {
                Aux = aux == 0 ? null : new(aux, parsed.GetValue(auxCoefficient),
                    dead > 0 ? dead : DeadAfter.Rows(config), parsed.GetValue(auxRelu)),
            };
        }
        return (FieldEdits.Apply(spec, Edits(parsed, "spec")).Validate(), config);
    }

    /// <summary>The same spec, whose latents are dead after --dead-after rows.</summary>
    public SaeSpec WithDeadAfter(ParseResult parsed, SaeSpec spec, TrainConfig config) =>
        DeadAfter.Set(spec, config, DeadAfterRows(parsed));

    /// <summary>0 for the rule.</summary>
    long DeadAfterRows(ParseResult parsed) => parsed.GetValue(deadAfter) is >= 0 and var rows ? rows
        : throw new SaeException($"--dead-after {parsed.GetValue(deadAfter)} is out of range: it must be 1 or more, or "
            + "0 for 1/60 of --vectors");

    /// <summary>Two files make a transcoder or a crosscoder, as the preset says; several, a crosscoder.</summary>
    static SaeSpec ForData(SaeSpec spec, int[] widths)
    {
        if (spec.Transcoder is { } transcoder)
        {
            if (widths.Length != 2)
                throw new SaeException("a transcoder needs its target: name one file or folder with --beside");
            return spec with { Transcoder = transcoder with { OutputWidth = widths[1] } };
        }
        if (spec.Sites is not null) return spec with { InputWidth = widths.Sum(), Sites = widths };
        if (widths.Length > 1)
            throw new SaeException("--beside needs a preset that has a use for it: transcoder, skip-transcoder or "
                + "crosscoder");
        return spec;
    }

    public TrainConfig Config(ParseResult parsed) =>
        Preset(parsed).Configure(Basis(parsed), made => Over(parsed, made));

    TrainConfig Basis(ParseResult parsed) => new()
    {
        BatchRows = parsed.GetValue(batchRows), Vectors = parsed.GetValue(vectors), Seed = parsed.GetValue(seed),
    };

    /// <summary>What is written on the command line over a config; not yet validated.</summary>
    public TrainConfig Over(ParseResult parsed, TrainConfig c)
    {
        c = c with
        {
            Vectors = Or(vectors, c.Vectors),
            ShuffleWindow = Or(shuffleWindow, c.ShuffleWindow),
            DevicePool = Or(devicePool, c.DevicePool),
            LearningRate = Or(learningRate, c.LearningRate),
            WarmupFraction = Or(warmup, c.WarmupFraction),
            DecayFraction = Or(decay, c.DecayFraction),
            Optimizer = Or(optimizer, c.Optimizer),
            Beta1 = Or(beta1, c.Beta1),
            Beta2 = Or(beta2, c.Beta2),
            Epsilon = Or(epsilon, c.Epsilon),
            WeightDecay = Or(weightDecay, c.WeightDecay),
            Moments = Or(moments, c.Moments),
            Lazy = Or(lazy, c.Lazy),
            Clip = Or(clip, c.Clip),
            ClipNorm = Or(clipNorm, c.ClipNorm),
            Storage = Or(storage, c.Storage),
            EmaDecay = Or(ema, c.EmaDecay),
            DecoderBias = Or(decoderBias, c.DecoderBias),
            EncoderInitNorm = Or(encoderNorm, c.EncoderInitNorm),
            ScaleInputs = Or(scaleInputs, c.ScaleInputs),
            Screening = Or(screening, c.Screening),
            ValidateEvery = Or(validateEvery, c.ValidateEvery),
            LogEvery = Or(logEvery, c.LogEvery),
            CheckpointEvery = Or(checkpointEvery, c.CheckpointEvery),
            KeepCheckpoints = Or(keepCheckpoints, c.KeepCheckpoints),
            NonFinite = Or(nonFinite, c.NonFinite),
            OnDivergence = Or(onDivergence, c.OnDivergence),
            SpikeAbove = Or(spikeAbove, c.SpikeAbove),
        };
        return FieldEdits.Apply(c, Edits(parsed, "config"));

        T Or<T>(Option<T> option, T otherwise) => Given(parsed, option) ? parsed.GetValue(option)! : otherwise;
    }

    /// <summary>Fields of one of the two records that --set names.</summary>
    public IEnumerable<string> SetFields(ParseResult parsed, string record) =>
        Edits(parsed, record).Select(edit => edit.Key);

    /// <summary>What --set says about one of the two records.</summary>
    IEnumerable<KeyValuePair<string, JsonNode?>> Edits(ParseResult parsed, string record)
    {
        var edits = parsed.GetValue(set) ?? [];
        foreach (var edit in edits)
            if (!edit.StartsWith("spec.", StringComparison.Ordinal)
                && !edit.StartsWith("config.", StringComparison.Ordinal)
                || !edit.Contains('='))
                throw new SaeException($"--set {edit}: it must read spec.FIELD=JSON or config.FIELD=JSON, such as "
                    + "spec.selection.bandwidth=0.5");
        if (edits.GroupBy(edit => edit[..edit.IndexOf('=')])
            .FirstOrDefault(same => same.Count() > 1) is { } twice)
            throw new SaeException($"--set {twice.Key} is given {twice.Count()} times; give it once");
        return edits.Where(edit => edit.StartsWith(record + ".", StringComparison.Ordinal))
            .Select(edit => KeyValuePair.Create(edit[(record.Length + 1)..edit.IndexOf('=')],
                Value(edit[(edit.IndexOf('=') + 1)..])));
    }

    /// <summary>JSON, or a bare word as a string.</summary>
    static JsonNode? Value(string text)
    {
        try { return JsonNode.Parse(text); }
        catch (JsonException) { return JsonValue.Create(text); }
    }

    public static bool Given(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    static Option<long> NewDevicePool() => new("--device-pool")
    {
        Description =
            "device memory in which training rows may lie, so that batches are gathered there: auto for what is free, "
                + "off, or bytes such as 16GiB. A run alone; SAEs of a sweep share batches of the host",
        HelpName = "auto|off|bytes",
        DefaultValueFactory = _ => TrainConfig.AutoPool,
        CustomParser = result =>
        {
            var word = result.Tokens[0].Value;
            if (word == "auto") return TrainConfig.AutoPool;
            if (word == "off") return 0;
            if (Bytes(word) is > 0 and var bytes) return bytes;
            result.AddError($"--device-pool {word}: it is auto, off, or bytes such as 16GiB");
            return default;
        },
    };

    /// <summary>A whole number of bytes, KiB, MiB or GiB; null for anything else.</summary>
    static long? Bytes(string word)
    {
        var shift = word.Length > 3 ? word[^3..] switch { "KiB" => 10, "MiB" => 20, "GiB" => 30, _ => 0 } : 0;
        return long.TryParse(shift > 0 ? word[..^3] : word, NumberStyles.None, CultureInfo.InvariantCulture,
            out var number)
            && number <= long.MaxValue >> shift
            ? number << shift : null;
    }

    public static Option<BackendKind> NewBackend(string description) =>
        Options.New("--backend", BackendFactory.ManagedCuda is null ? description
            : $"{description}; or {BackendFactory.Name(BackendKind.ManagedCuda)}", BackendKind.Auto);
}
