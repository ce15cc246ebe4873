using static CudaSae.Model.Nesting;
using static CudaSae.Model.Selection;
using static CudaSae.Model.SettingRange;

namespace CudaSae.Model;

/// <summary>Settings of the selections, and of the additional reconstructions from parts of the code.</summary>
static partial class SpecSettings
{
    static SpecPart[] Selections() =>
    [
        new SpecPart<Selection>("selection", "Selection", s => s.Selection),
        SelectionKind("relu", RoomOf<Relu>(s => s.Room)),
        SelectionKind("jumprelu",
            new SpecSetting<JumpRelu, SmoothingKernel>(nameof(JumpRelu.Kernel), s => s.Kernel),
            new SpecSetting<JumpRelu, float>(nameof(JumpRelu.Bandwidth), s => s.Bandwidth) { Values = Positive() },
            new SpecSetting<JumpRelu, float>(nameof(JumpRelu.InitialThreshold), s => s.InitialThreshold)
                { Values = ByRules("above 0, at most 1e6; with `form` = Direct it may be 0", 0f, 1e6f) },
            new SpecSetting<JumpRelu, ThresholdForm>(nameof(JumpRelu.Form), s => s.Form),
            new SpecSetting<JumpRelu, bool>(nameof(JumpRelu.InputGradient), s => s.InputGradient),
            new SpecSetting<JumpRelu, bool>(nameof(JumpRelu.AdaptiveBandwidth), s => s.AdaptiveBandwidth),
            RoomOf<JumpRelu>(s => s.Room)),
        SelectionKind("gated",
            new SpecSetting<Gated, bool>(nameof(Gated.LiveAuxDecoder), s => s.LiveAuxDecoder),
            new SpecSetting<Gated, bool>(nameof(Gated.Rescale), s => s.Rescale),
            RoomOf<Gated>(s => s.Room)),
        SelectionKind("topk",
            K,
            new SpecSetting<TopK, int>(nameof(TopK.InitialK), s => s.InitialK)
            {
                Values = ByRules($"0, or `k` to {SaeSpec.MaxActive}, at most `latents`", 0, SaeSpec.MaxActive),
                Unit = "latents",
            },
            new SpecSetting<TopK, float>(nameof(TopK.AnnealFraction), s => s.AnnealFraction)
                { Values = ByRules("above 0, at most 1, if `initial_k` is not 0", 0f, 1f) }),
        SelectionKind("abs_topk", KOf<AbsTopK>(s => s.K)),
        SelectionKind("batch_topk",
            KOf<BatchTopK>(s => s.K, limit: ""),
            new SpecSetting<BatchTopK, float>(nameof(BatchTopK.ThresholdDecay), s => s.ThresholdDecay)
                { Values = FromZeroBelowOne(0f, 1f) }),
        SelectionKind("group_max", KOf<GroupMax>(s => s.K, ", a divisor of `latents`")),
    ];

    static SpecPart[] Nestings() =>
    [
        new SpecPart<Nesting>("nested", "Nesting", s => s.Nested),
        new SpecPart<Prefixes>("nested", "prefixes", s => s.Nested as Prefixes,
            new SpecSetting<Prefixes, int[]>(nameof(Prefixes.Widths), p => p.Widths)
            {
                Values = ByRules<int[]>($"1 to {SpecRules.MaxPrefixes - 1} widths, ascending and below `latents` "
                    + "unless `random`"),
                Unit = "latents",
            },
            new SpecSetting<Prefixes, bool>(nameof(Prefixes.Random), p => p.Random),
            new SpecSetting<Prefixes, bool>(nameof(Prefixes.Mean), p => p.Mean))
            { IsKind = true, Prefix = "Prefixes." },
        new SpecPart<Budgets>("nested", "budgets", s => s.Nested as Budgets,
            new SpecSetting<Budgets, int[]>(nameof(Budgets.Ks), b => b.Ks)
            {
                Values = ByRules<int[]>($"1 to {SpecRules.MaxBudgets} numbers, ascending, at most {SaeSpec.MaxActive} "
                    + "and at most `latents`"),
                Unit = "entries",
            },
            new SpecSetting<Budgets, float[]>(nameof(Budgets.Weights), b => b.Weights)
                { Values = ByRules<float[]>("one number a budget, each 0 to 1e6") },
            new SpecSetting<Budgets, int>(nameof(Budgets.Report), b => b.Report)
                { Values = ByRules("0, or one of `ks`", 0, SaeSpec.MaxActive), Unit = "entries" })
            { IsKind = true, Prefix = "Budgets." },
    ];

    static SpecPart<T> SelectionKind<T>(string kind, params SpecSetting<T>[] settings) where T : Selection =>
        new("selection", kind, s => s.Selection as T, settings) { IsKind = true };

    /// <summary>The active latents of a row. SpecRules checks the range, because a finished SAE may have any number of
    /// them.</summary>
    static SpecSetting<T, int> KOf<T>(Func<T, int> get, string limit = ", at most `latents`") =>
        new("K", get, "active latents a row")
        {
            Values = ByRules($"1 to {SaeSpec.MaxActive}{limit}", 1, SaeSpec.MaxActive), Unit = "latents",
        };

    /// <summary>The capacity of a row in training. SpecRules checks the range, because only the latents limit it in a
    /// finished SAE.</summary>
    static SpecSetting<T, int> RoomOf<T>(Func<T, int> get) => new("Room", get)
    {
        Values = ByRules($"1 to {SaeSpec.MaxRoom}; more only if `latents` is at most {SaeSpec.MaxRoom}", 1,
            SaeSpec.MaxRoom),
        Unit = "entries",
    };
}
