using CudaSae.Lab.Report;
using static System.FormattableString;

namespace CudaSae.Lab.Insight.Images;

/// <summary>Makes the figures about atoms of pixels: whether they are templates or parts.</summary>
static class AtomFigures
{
    const string Measures =
        "support = (Σ|aₚ|)² / (P Σaₚ²) of a decoder row a (participation ratio, 1/P to 1); nearest = max over training "
            + "images of ⟨a, x − x̄⟩ / ‖a‖‖x − x̄‖; "
        + "template: nearest² ≥ 1/2, half of the atom's energy along one image; part: not a template, and support "
        + "below half of that of the median image minus the mean image";

    public static IEnumerable<Figure> Of(IReadOnlyList<ImageStudy> runs, ImageData data, AtomMeasures measures,
        int[] shown)
    {
        var (main, all) = (runs[0], runs.Select(r => measures.Of(r.Sae.Model.Parameters)).ToArray());
        var atoms = all[0];
        yield return Pictures.Signed("atoms", "Decoder rows of latents", data.Width,
            [.. shown.Select(f => main.Sae.Model.Parameters.WDec[f].ToArray())],
            [.. shown.Select(f => Described(main, atoms[f], f))]) with
        {
            Finding =
                Invariant($"{main.Alive.Length} of {main.Sae.Latents} latents fire, on ")
                    + Invariant($"{100 * main.Top.Density(main.Alive[0]):0.#} % to ")
                    + Invariant($"{100 * main.Top.Density(main.Alive[^1]):0.##} % of the images; {shown.Length} are ")
                    + "shown.",
            Formula =
                "rows of W_dec, sorted by density, evenly spaced in rank; grey is 0; each row is scaled by its largest "
                    + "magnitude",
        };
        yield return Pictures.Signed("encoders", "Encoder rows of the same latents", data.Width,
            [.. shown.Select(f => main.Sae.Model.Parameters.WEnc[f].ToArray())],
            [.. shown.Select(f => ImageChapter.Caption(main, f))]) with
        {
            Finding =
                "The median cosine of an encoder row with its decoder row is "
                    + Invariant($"{Middle(main, atoms, a => a.EncoderCosine):0.00}; encoder rows spread over ")
                    + Invariant($"{100 * Middle(main, atoms, a => a.EncoderSupport):0} % of the pixels, decoder rows ")
                    + "over "
                    + Invariant($"{100 * Middle(main, atoms, a => a.Support):0} %."),
            Formula =
                "rows of W_enc; medians over latents that fire; spread is the participation ratio (Σ|wₚ|)² / (P Σwₚ²)",
        };
        yield return Scatter(main, atoms, measures);
        yield return Table(runs, all, measures);
    }

    static string Described(ImageStudy run, in Atom atom, int latent) =>
        Invariant($"{ImageChapter.Caption(run, latent)}, support {atom.Support:0.00}, nearest {atom.Nearest:0.00}");

    static double Middle(ImageStudy run, Atom[] atoms, Func<Atom, double> of) =>
        AtomMeasures.Median(run.Alive.Select(f => of(atoms[f])));

    static double Share(ImageStudy run, Atom[] atoms, Func<Atom, bool> of) =>
        100.0 * run.Alive.Count(f => of(atoms[f])) / Math.Max(1, run.Alive.Length);

    /// <summary>Share in percent in which each latent counts as often as it fires.</summary>
    static double Firings(ImageStudy run, Atom[] atoms, Func<Atom, bool> of) =>
        100.0 * run.Alive.Where(f => of(atoms[f]))
            .Sum(run.Top.Density) / Math.Max(1e-30, run.Alive.Sum(run.Top.Density));

    static ScatterFigure Scatter(ImageStudy run, Atom[] atoms, AtomMeasures measures)
    {
        float[] Values(Func<Atom, double> of) => [.. run.Alive.Select(f => (float)of(atoms[f]))];
        Column[] columns =
        [
            new("support", Values(a => a.Support))
            {
                Formula = "(Σ|aₚ|)² / (P Σaₚ²)"
            }, new("nearest image", Values(a => a.Nearest)) { Formula = "max ⟨a, x − x̄⟩ / ‖a‖‖x − x̄‖" },
            new("pixels above 10 %", Values(a => a.Area))
            {
                Formula = "share of pixels with |aₚ| > max|a| / 10"
            },
            new("nearest class mean", Values(a => a.ClassMean))
            {
                Formula = "max over classes of ⟨a, x̄_c − x̄⟩ / norms"
            },
            new("encoder and decoder", Values(a => a.EncoderCosine))
            {
                Formula = "cosine of encoder row and decoder row"
            }, new("encoder's support", Values(a => a.EncoderSupport)),
            new("density", [.. run.Alive.Select(f => (float)run.Top.Density(f))])
            {
                Log = true, Formula = "share of the images on which the latent fires"
            },
        ];
        double templates = Share(run, atoms, a => AtomMeasures.IsTemplate(a)),
            parts = Share(run, atoms, a => measures.IsPart(a)),
            firings = Firings(run, atoms, a => AtomMeasures.IsTemplate(a)),
            partFirings = Firings(run, atoms, a => measures.IsPart(a));
        return new ScatterFigure("template-or-part", "Template or part?",
            columns.Where(c => !c.Values.Any(float.IsNaN)).ToArray(), "support", "nearest image")
        {
            Colour = "density", Latents = run.Alive, Formula = Measures,
            Finding =
                Invariant($"{templates:0} % of the atoms that fire are templates, with {firings:0} % of the ")
                    + Invariant($"firings; {parts:0} % are parts, with {partFirings:0} % of the firings; the rest are ")
                    + "neither. The "
                    + Invariant($"median atom spreads over {100 * Middle(run, atoms, a => a.Support):0} % of the ")
                    + "pixels (an "
                    + Invariant($"image: {100 * measures.ImageSupport:0} %), and its cosine with its nearest image is ")
                    + Invariant($"{Middle(run, atoms, a => a.Nearest):0.00} (an image: ")
                    + Invariant($"{measures.ImageNearest:0.00})."),
        };
    }

    static TableFigure Table(IReadOnlyList<ImageStudy> runs, Atom[][] all, AtomMeasures measures)
    {
        var order = Enumerable.Range(0, runs.Count).OrderBy(i => runs[i].Evaluation.L0).ToArray();
        TableColumn Numbers(string name, int digits, Func<int, double?> of) =>
            new(name, Numbers: [.. order.Select(of).Select(v => v is double.NaN ? null : v)]) { Digits = digits };
        var (low, high) = (order[0], order[^1]);
        return new TableFigure("templates", "Template or part, at several L0",
        [
            new("SAE", Texts: [.. order.Select(i => runs[i].Name)]), Numbers("L0", 1, i => runs[i].Evaluation.L0),
            Numbers("FVU", 4, i => runs[i].Evaluation.Fvu),
            Numbers("silent %", 1, i => runs[i].Evaluation.SilentPercent),
            Numbers("support", 3, i => Middle(runs[i], all[i], a => a.Support)),
            Numbers("pixels above 10 %", 3, i => Middle(runs[i], all[i], a => a.Area)),
            Numbers("nearest image", 3, i => Middle(runs[i], all[i], a => a.Nearest)),
            Numbers("nearest class mean", 3, i => Middle(runs[i], all[i], a => a.ClassMean)),
            Numbers("templates %", 1, i => Share(runs[i], all[i], a => AtomMeasures.IsTemplate(a))),
            Numbers("templates, of firings %", 1, i => Firings(runs[i], all[i], a => AtomMeasures.IsTemplate(a))),
            Numbers("parts %", 1, i => Share(runs[i], all[i], a => measures.IsPart(a))),
            Numbers("parts, of firings %", 1, i => Firings(runs[i], all[i], a => measures.IsPart(a))),
            Numbers("encoder · decoder", 3, i => Middle(runs[i], all[i], a => a.EncoderCosine)),
            Numbers("encoder's support", 3, i => Middle(runs[i], all[i], a => a.EncoderSupport)),
        ])
        {
            Formula = $"medians over latents that fire; {Measures}",
            Finding = runs.Count == 1
                ? Invariant($"An image minus the mean image has a support of {measures.ImageSupport:0.000} and a ")
                    + Invariant($"cosine of {measures.ImageNearest:0.000} with its nearest other image.")
                : Invariant($"From L0 {runs[low].Evaluation.L0:0.0} to {runs[high].Evaluation.L0:0.0} the share of ")
                    + Invariant($"templates goes from {Share(runs[low], all[low], a => AtomMeasures.IsTemplate(a)):0} ")
                    + Invariant($"to {Share(runs[high], all[high], a => AtomMeasures.IsTemplate(a)):0} % of the atoms")
                    + ", and the share of parts from "
                    + Invariant($"{Share(runs[low], all[low], a => measures.IsPart(a)):0} to ")
                    + Invariant($"{Share(runs[high], all[high], a => measures.IsPart(a)):0} %."),
        };
    }
}
