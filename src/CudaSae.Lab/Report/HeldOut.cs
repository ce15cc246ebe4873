using CudaSae.Runs;

namespace CudaSae.Lab.Report;

/// <summary>The chapter on rows that were not trained on.</summary>
static class HeldOut
{
    /// <param name="about">One line on the SAE, such as <see cref="Formats.SaeModel.Summary"/>.</param>
    /// <param name="ofTarget">Whether it is a transcoder, whose measures are of its target.</param>
    public static Section Section(Evaluation e, string about, bool ofTarget = false) =>
        new("held-out", "Held-out evaluation", 10, [Table(e, about, ofTarget)]);

    static TableFigure Table(Evaluation e, string about, bool ofTarget)
    {
        (string Name, double? Value, string Meaning)[] rows =
        [
            ("FVU", e.Fvu, "Σ‖x̂−y‖² / Σ‖y−ȳ‖², sums over all rows, then one division"),
            .. (e.SiteFvu ?? []).Select((fvu, i) => ($"FVU of site {i + 1}", fvu, "the same over this site's numbers")),
            ("L0", e.L0, "latents that fire, a row"),
            ("silent %", e.SilentPercent, "latents that fire on none of these rows"),
            ("cosine", e.Cosine, "mean of ⟨x̂,y⟩ / ‖x̂‖‖y‖"), ("γ", e.Shrinkage, "Σ‖x̂‖² / Σ⟨x̂,y⟩; 1 is unbiased"),
            ("rows", e.Rows, "that were looked at"), .. e.LeftOut > 0
                ? [("left out", e.LeftOut, "rows with NaN or infinity")] : Array.Empty<(string, double?, string)>(),
        ];
        return new("measures", "Measures",
        [
            new("measure", [.. rows.Select(r => r.Name)]), new("value", Numbers: [.. rows.Select(r => r.Value)]),
            new("meaning", [.. rows.Select(r => r.Meaning)]),
        ])
        {
            Finding = $"{about}: {Explained(e, ofTarget)}; "
                + $"{Words.Percent(e.SilentPercent / 100)} of the latents are silent on them."
                + Words.LeftOut(e.LeftOut),
            Formula = "y is what the decoder predicts: the input again, or a transcoder's target.",
        };
    }

    static string Explained(Evaluation e, bool ofTarget) => e.Fvu is { } fvu
        ? $"{Words.Percent(1 - fvu)} of the variance of {(ofTarget ? "the target on " : "")}"
            + $"{e.Rows} rows is explained by {Words.Number(e.L0)} latents a row"
        : $"FVU of the {e.Rows} rows is undefined, because they are all equal or a sum overflows; "
            + $"{Words.Number(e.L0)} latents fire a row";
}
