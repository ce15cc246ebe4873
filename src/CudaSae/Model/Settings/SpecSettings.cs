using static CudaSae.Model.SettingRange;
using static CudaSae.Model.SparsityPenalty;

namespace CudaSae.Model;

/// <summary>The table of the spec's settings: every field of <see cref="SaeSpec"/> and of the records in it, once, in
/// the order in which they are checked. The meaning of a field is in the documentation of its record.</summary>
static partial class SpecSettings
{
    const int MaxWidth = 16384;

    const string DeadHelp = "rows without firing after which a latent is dead; 0 for 1/60 of the run's rows, at most "
        + "10 million, or for the window of a recipe that resamples";

    public static readonly SpecSetting<SaeSpec, int> Latents =
        new(nameof(SaeSpec.Latents), s => s.Latents, "n: width of the dictionary")
        { Values = Between(1, 1 << 26), Unit = "latents" };

    public static readonly SpecSetting<SaeSpec, long> DeadAfterTokens =
        new(nameof(SaeSpec.DeadAfterTokens), s => s.DeadAfterTokens, DeadHelp)
        {
            Option = "dead-after", Values = AtLeast(0L, "1 or more, or 0 for the rule of the run"), Unit = "rows",
        };

    public static readonly SpecSetting<SaeSpec, DecoderNorm> DecoderNorm =
        new(nameof(SaeSpec.DecoderNorm), s => s.DecoderNorm, "constraint on the norm of decoder rows");

    public static readonly SpecSetting<Selection.TopK, int> K = KOf<Selection.TopK>(s => s.K);

    public static readonly SpecSetting<SparsityPenalty, float> Coefficient =
        new(nameof(SparsityPenalty.Coefficient), p => p.Coefficient, "λ of the sparsity penalty at its peak")
        { Values = Weight() };

    public static readonly SpecSetting<AuxLoss, int> AuxK =
        new(nameof(AuxLoss.K), a => a.K, "dead latents a row in the auxiliary loss")
        { Option = "aux-k", Values = Between(1, SaeSpec.MaxActive), Unit = "latents" };

    public static readonly SpecSetting<AuxLoss, float> AuxCoefficient =
        new(nameof(AuxLoss.Coefficient), a => a.Coefficient, "weight of the auxiliary loss")
        { Option = "aux-coefficient", Values = Weight() };

    public static readonly SpecSetting<AuxLoss, bool> AuxRelu =
        new(nameof(AuxLoss.Relu), a => a.Relu, "ReLU on the dead latents' pre-activations") { Option = "aux-relu" };

    /// <summary>All parts of a spec. A record of several kinds comes before its kinds.</summary>
    public static readonly IReadOnlyList<SpecPart> Parts = [Spec(), .. Selections(), .. Nestings(), .. Losses()];

    static SpecPart<SaeSpec> Spec() => new("", "Spec", s => s,
        new SpecSetting<SaeSpec, int>(nameof(SaeSpec.InputWidth), s => s.InputWidth)
        { Values = Between(1, MaxWidth), Unit = "numbers" },
        Latents,
        new SpecSetting<SaeSpec, Selection>(nameof(SaeSpec.Selection), s => s.Selection)
        { Values = ByRules<Selection>("an object") },
        new SpecSetting<SaeSpec, Transcoding?>(nameof(SaeSpec.Transcoder), s => s.Transcoder),
        new SpecSetting<SaeSpec, int[]?>(nameof(SaeSpec.Sites), s => s.Sites)
        {
            Values = ByRules<int[]?>($"null, or 1 to {SpecRules.MaxSites} widths that add up to the decoder's output"),
            Unit = "numbers",
        },
        new SpecSetting<SaeSpec, Nesting?>(nameof(SaeSpec.Nested), s => s.Nested),
        new SpecSetting<SaeSpec, SparsityPenalty?>(nameof(SaeSpec.Penalty), s => s.Penalty),
        new SpecSetting<SaeSpec, PreActLoss?>(nameof(SaeSpec.PreAct), s => s.PreAct),
        new SpecSetting<SaeSpec, AuxLoss?>(nameof(SaeSpec.Aux), s => s.Aux),
        new SpecSetting<SaeSpec, GhostGrads?>(nameof(SaeSpec.Ghost), s => s.Ghost),
        DeadAfterTokens,
        new SpecSetting<SaeSpec, bool>(nameof(SaeSpec.PreEncoderBias), s => s.PreEncoderBias),
        new SpecSetting<SaeSpec, Tying>(nameof(SaeSpec.Tying), s => s.Tying),
        DecoderNorm);

    static SpecPart[] Losses() =>
    [
        new SpecPart<SparsityPenalty>("penalty", "Penalty", s => s.Penalty,
            Coefficient,
            new SpecSetting<SparsityPenalty, float>(nameof(SparsityPenalty.WarmupFraction), p => p.WarmupFraction)
                { Values = Between(0f, 1f) },
            new SpecSetting<SparsityPenalty, PenaltyWeight>(nameof(SparsityPenalty.Weight), p => p.Weight))
            { Prefix = "Penalty." },
        PenaltyKind<L1>("l1"),
        PenaltyKind("tanh", new SpecSetting<Tanh, float>(nameof(Tanh.Scale), p => p.Scale) { Values = Positive() }),
        PenaltyKind("lp",
            new SpecSetting<Lp, float>(nameof(Lp.Power), p => p.Power) { Values = Above0(1, "above 0, at most 1") },
            new SpecSetting<Lp, float>(nameof(Lp.AnnealFrom), p => p.AnnealFrom) { Values = Between(0f, 1f) },
            new SpecSetting<Lp, float>(nameof(Lp.AnnealTo), p => p.AnnealTo)
                { Values = ByRules("`anneal_from` to 1", 0f, 1f) },
            new SpecSetting<Lp, int>(nameof(Lp.Changes), p => p.Changes) { Values = AtLeast(1) }),
        PenaltyKind<L0>("l0"),
        PenaltyKind("target_l0", new SpecSetting<TargetL0, float>(nameof(TargetL0.Target), p => p.Target)
            { Values = Positive(), Unit = "latents" }),
        new SpecPart<PreActLoss>("pre_act", "Pre-activation loss", s => s.PreAct,
            new SpecSetting<PreActLoss, float>(nameof(PreActLoss.Coefficient), p => p.Coefficient)
                { Values = Weight() },
            new SpecSetting<PreActLoss, bool>(nameof(PreActLoss.DeadOnly), p => p.DeadOnly),
            Rows<PreActLoss>(nameof(PreActLoss.DeadAfterTokens), p => p.DeadAfterTokens)) { Prefix = "PreAct." },
        new SpecPart<AuxLoss>("aux", "Auxiliary loss", s => s.Aux,
            AuxK, AuxCoefficient, Rows<AuxLoss>(nameof(AuxLoss.DeadAfterTokens), a => a.DeadAfterTokens), AuxRelu)
            { Prefix = "Aux." },
        new SpecPart<GhostGrads>("ghost", "Ghost gradients", s => s.Ghost,
            Rows<GhostGrads>(nameof(GhostGrads.DeadAfterTokens), g => g.DeadAfterTokens),
            new SpecSetting<GhostGrads, int>(nameof(GhostGrads.AllFirstSteps), g => g.AllFirstSteps)
                { Values = AtLeast(0), Unit = "steps" },
            new SpecSetting<GhostGrads, int>(nameof(GhostGrads.Window), g => g.Window)
                { Values = AtLeast(1), Unit = "latents" }) { Prefix = "Ghost." },
        new SpecPart<Transcoding>("transcoder", "Transcoder", s => s.Transcoder,
            new SpecSetting<Transcoding, int>(nameof(Transcoding.OutputWidth), t => t.OutputWidth)
                { Values = Between(1, MaxWidth), Unit = "numbers" },
            new SpecSetting<Transcoding, bool>(nameof(Transcoding.Skip), t => t.Skip)) { Prefix = "Transcoder." },
    ];

    static SpecPart<T> PenaltyKind<T>(string kind, params SpecSetting<T>[] settings) where T : SparsityPenalty =>
        new("penalty", kind, s => s.Penalty as T, settings) { IsKind = true, Prefix = "Penalty." };

    /// <summary>A weight of a loss.</summary>
    static SettingRange<float> Weight() => Between(0f, 1e6f, "0 to 1e6");

    static SettingRange<float> Positive() => Above0(1e6f, "above 0, at most 1e6");

    /// <summary>Rows until a latent is dead.</summary>
    static SpecSetting<T, long> Rows<T>(string property, Func<T, long> get) =>
        new(property, get) { Values = AtLeast(1L), Unit = "rows" };
}
