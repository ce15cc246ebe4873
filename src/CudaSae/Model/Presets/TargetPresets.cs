namespace CudaSae.Model;

/// <summary>The presets whose codes predict another target than their input. The train command replaces OutputWidth and
/// Sites by the widths of its files.</summary>
static class TargetPresets
{
    static SaeSpec Make(int d, int n, int k) => new()
    {
        InputWidth = d, Latents = n, Selection = new Selection.TopK(k),
        Aux = SpecDefaults.AuxFor(n), PreEncoderBias = false,
    };

    public static IReadOnlyList<Preset> All { get; } =
    [
        new("transcoder", "Dunefsky et al. 2024, arXiv 2406.11944",
            "y ≈ b_dec + Σ f d, f = the k largest of relu(W x + b)", "",
            (d, n, k) => Make(d, n, k) with { Transcoder = new(d) }, c => c) { NeedsTarget = true },
        new("skip-transcoder", "Paulo et al. 2025, arXiv 2501.18823", "y ≈ b_dec + W_skip x + Σ f d", "",
            (d, n, k) => Make(d, n, k) with { Transcoder = new(d, Skip: true) }, c => c) { NeedsTarget = true },
        new("crosscoder", "Lindsey et al. 2024, Sparse Crosscoders",
            "x = all sites; f = relu(W x + b); Σ_s ‖x_s − x̂_s‖² + λ Σ f Σ_s ‖d_s‖", "", (d, n, k) => new SaeSpec
        {
            InputWidth = d, Latents = n, Selection = new Selection.Relu(Preset.RoomFor(n)),
            DecoderNorm = DecoderNorm.Free, PreEncoderBias = false, Sites = [d],
            Penalty = new SparsityPenalty.L1
            {
                Coefficient = 3, WarmupFraction = 0.5f, Weight = PenaltyWeight.DecoderNorm
            },
        }, c => Preset.Named("april-2024").Configure(c) with { FoldDecoderNorms = false }) { NeedsTarget = true },
    ];
}
