using System.Globalization;
using CudaSae.Lab.Report;
using CudaSae.Lab.Synthetic;
using CudaSae.Numerics;
using static System.FormattableString;

namespace CudaSae.Lab.Insight.Images;

/// <summary>Makes the chapter about toy studies.</summary>
static class ToyChapter
{
    const string Model =
        "x' = relu(Wᵀ W x + b), L = mean Σᵢ Iᵢ (xᵢ − x'ᵢ)²; xᵢ is 0 with chance S, else uniform in [0, 1) (Elhage et "
            + "al. 2022, Toy Models of Superposition)";
    const string Matching =
        "one-to-one matching of represented features (‖Wᵢ‖ > 0.5) to decoder rows d with the largest sum of cosines "
            + "⟨Wᵢ, d⟩ / ‖Wᵢ‖‖d‖ (Hungarian method)";

    /// <param name="main">The study shown feature by feature.</param>
    /// <param name="plane">A study with two hidden dimensions, which is drawn; null if it failed.</param>
    /// <param name="sweep">Studies that differ in sparsity, ascending.</param>
    public static Chapter Of(ToyStudy main, ToyStudy? plane, IReadOnlyList<ToyStudy> sweep, string command) =>
        new("toy", "Toy models of superposition", 600,
        [
            .. plane is null ? Array.Empty<Figure>() : [Plane(plane)],
            Gram(main), Matched(main), Histogram(main), Sweep(sweep), Dimensions(sweep), Table(sweep),
        ])
        { Command = command };

    static LinesFigure Plane(ToyStudy study)
    {
        var (model, series) = (study.Model, new List<Series>());
        for (var i = 0; i < model.Options.Features; i++)
            series.Add(new($"W, feature {i}", [0, (float)model.Column(i)[0]], [0, (float)model.Column(i)[1]]));
        var points = study.Latents.Select(f => study.Sae.Parameters.WDec[Math.Max(f, 0)].ToArray()).ToArray();
        var norms = points.Select((_, i) => model.Norm(study.Features[i])).ToArray();
        series.Add(new("decoder rows, at their feature's length", [.. points.Select((p, i) => Scaled(p, norms[i])[0])],
            [.. points.Select((p, i) => Scaled(p, norms[i])[1])])
        {
            Points = true, Labels = [.. study.Latents.Select((f, i) => $"latent {f}, feature {study.Features[i]}")],
        });
        var angles = Angles(study);
        var widest = study.Cosines.Select(c => Math.Acos(Math.Clamp(c, -1, 1)) * 180 / Math.PI).DefaultIfEmpty(180)
            .Max();
        return new LinesFigure("plane", $"{model.Options.Features} features in two dimensions, and an SAE's latents",
            new("first hidden dimension"), new("second hidden dimension"), [.. series])
        {
            Finding =
                Invariant($"{study.Features.Length} of {model.Options.Features} features are represented, neighbours ")
                    + Invariant($"{angles.Min():0.0}° to {angles.Max():0.0}° apart (a regular polygon: ")
                    + Invariant($"{360.0 / Math.Max(1, angles.Length):0.0}°); decoder rows lie within ")
                    + Invariant($"{widest:0.00}° of them."),
            Formula =
                $"{Model}; S = {Invariant($"{model.Options.Sparsity:0.###}")}, m = 2. Rays: columns of W. Points: "
                    + $"decoder rows d of an SAE of h = W x, {Matching}, drawn at length ‖Wᵢ‖",
        };
    }

    static float[] Scaled(float[] row, double norm) =>
        [.. row.Select(v => (float)(v * norm / Math.Max(Matrix.Norm(row), 1e-30)))];

    /// <summary>Angles between neighbours among the represented features of two dimensions, in degrees.</summary>
    static double[] Angles(ToyStudy study)
    {
        double[] at = [.. study.Features.Select(i =>
            Math.Atan2(study.Model.Column(i)[1], study.Model.Column(i)[0]) * 180 / Math.PI)
            .Order()];
        return at.Length == 0 ? [0] : [.. at.Select((a, i) => i + 1 < at.Length ? at[i + 1] - a : at[0] + 360 - a)];
    }

    static HeatFigure Gram(ToyStudy study)
    {
        var (n, m) = (study.Model.Options.Features, study.Model.Options.Hidden);
        var values = new float[n * n];
        double largest = 0;
        for (var i = 0; i < n; i++)
            for (var j = 0; j < n; j++)
            {
                double dot = 0;
                for (var h = 0; h < m; h++) dot += study.Model.Column(i)[h] * study.Model.Column(j)[h];
                values[i * n + j] = (float)dot;
                if (i != j) largest = Math.Max(largest, Math.Abs(dot));
            }
        return new HeatFigure("gram", "WᵀW: interference between features", Names("feature", n),
            Names("feature", n), values)
        {
            From = -1, To = 1, Colour = new("⟨Wᵢ, Wⱼ⟩"),
            Finding =
                Invariant($"{study.Features.Length} of {n} features share {m} dimensions; the largest interference ")
                    + Invariant($"between two features is {largest:0.000}."),
            Formula = Model,
        };
    }

    static HeatFigure Matched(ToyStudy study)
    {
        var (rows, values) = (study.Features.Length, new float[study.Features.Length * study.Features.Length]);
        double beside = 0;
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < rows; j++)
            {
                values[i * rows + j] = study.Latents[j] < 0 ? float.NaN
                    : (float)study.Cosine(study.Features[i], study.Latents[j]);
                if (i != j && study.Latents[j] >= 0) beside = Math.Max(beside, values[i * rows + j]);
            }
        return new HeatFigure("matched", "True features against the latents matched to them",
            [.. study.Features.Select(i => $"feature {i}")],
            [.. study.Latents.Select(f => f < 0 ? "none" : $"latent {f}")], values)
        {
            From = -1, To = 1, Colour = new("cosine"),
            Finding =
                Invariant($"The mean cosine on the diagonal is {study.Cosines.DefaultIfEmpty(0).Average():0.000}, the ")
                    + Invariant($"lowest {study.Cosines.DefaultIfEmpty(0).Min():0.000}. The largest cosine off the ")
                    + Invariant($"diagonal is {beside:0.000}."),
            Formula = Matching,
        };
    }

    static HistogramFigure Histogram(ToyStudy study)
    {
        const int Count = 20;
        var counts = new float[Count];
        foreach (var cosine in study.Cosines) counts[Math.Clamp((int)Math.Floor(cosine * Count), 0, Count - 1)]++;
        return new HistogramFigure("matched-cosines", "Cosine of each feature with its latent", new("cosine"),
            new("features"), [.. Enumerable.Range(0, Count + 1).Select(i => (float)i / Count)],
            [new("represented features", counts)])
        {
            Finding = Invariant($"{study.Cosines.Count(c => c > Recovery.Threshold)} of {study.Features.Length} ")
                + Invariant($"represented features are recovered at a cosine above {Recovery.Threshold} ")
                + Invariant($"({100 * study.Recovered:0.0} %); the SAE has {study.Sae.Spec.Latents} latents, FVU ")
                + Ratio.Text(study.Evaluation.Fvu, "0.000", CultureInfo.InvariantCulture)
                + Invariant($", L0 {study.Evaluation.L0:0.00} for {study.ActiveFeatures:0.00} active features."),
            Formula = $"{Matching}; a cosine below 0 counts in the first bin",
        };
    }

    static LinesFigure Sweep(IReadOnlyList<ToyStudy> sweep)
    {
        float[] x = [.. sweep.Select(s => (float)(1 / (1 - s.Model.Options.Sparsity)))];
        var (best, worst) = (sweep.MaxBy(s => s.Recovered)!, sweep.MinBy(s => s.Recovered)!);
        return new LinesFigure("recovered", "Share of the model's features that an SAE finds, by sparsity",
            new("1 / (1 − S)", "", Log: true), new("share"),
        [
            new("recovered", x, [.. sweep.Select(s => (float)s.Recovered)]),
            new("mean matched cosine", x, [.. sweep.Select(s => (float)s.Cosines.DefaultIfEmpty(0).Average())]),
            new("features represented", x, [.. sweep
                .Select(s => (float)s.Features.Length / s.Model.Options.Features)]),
                new("SAE's FVU", x, [.. sweep.Select(s => (float)(s.Evaluation.Fvu ?? double.NaN))]),
        ])
        {
            Finding =
                Invariant($"Most features are recovered at S = {best.Model.Options.Sparsity:0.###} ")
                    + Invariant($"({100 * best.Recovered:0} % of {best.Features.Length}), fewest at S = ")
                    + Invariant($"{worst.Model.Options.Sparsity:0.###} ")
                    + Invariant($"({100 * worst.Recovered:0} % of {worst.Features.Length})."),
            Formula =
                "recovered = share of represented features with a matched cosine above "
                    + $"{Invariant($"{Recovery.Threshold}")}; {Matching}; {Model}",
        };
    }

    static LinesFigure Dimensions(IReadOnlyList<ToyStudy> sweep)
    {
        float[] x = [.. sweep.SelectMany(s => s.Features.Select(_ => (float)(1 / (1 - s.Model.Options.Sparsity))))],
        y = [.. sweep.SelectMany(s => s.Features.Select(i => (float)s.Model.Dimensionality(i)))];
        double Mean(ToyStudy s) => s.Features.Select(s.Model.Dimensionality).DefaultIfEmpty(0).Average();
        return new LinesFigure("dimensionality", "Share of a dimension of each represented feature",
            new("1 / (1 − S)", "", Log: true), new("Dᵢ"), [new("features", x, y) { Points = true }])
        {
            Finding =
                Invariant($"The mean share goes from {Mean(sweep[0]):0.00} of a dimension at S = ")
                    + Invariant($"{sweep[0].Model.Options.Sparsity:0.###} to {Mean(sweep[^1]):0.00} ")
                    + Invariant($"at S = {sweep[^1].Model.Options.Sparsity:0.###}."),
            Formula =
                "Dᵢ = ‖Wᵢ‖² / Σⱼ (Ŵᵢ · Wⱼ)² (Elhage et al. 2022): 1 for a feature alone in a dimension, 1/2 for an "
                    + "antipodal pair, 2/5 for a pentagon",
        };
    }

    static TableFigure Table(IReadOnlyList<ToyStudy> sweep)
    {
        return new TableFigure("sweep", "The toy models in numbers",
        [
            Numbers("S", 3, s => s.Model.Options.Sparsity), Numbers("loss of the model", 5, s => s.Model.Loss),
            Numbers("represented", 0, s => s.Features.Length), Numbers("active a row", 2, s => s.ActiveFeatures),
            Numbers("SAE L0", 2, s => s.Evaluation.L0), Numbers("SAE FVU", 4, s => s.Evaluation.Fvu),
            Numbers("recovered %", 1, s => 100 * s.Recovered),
            Numbers("mean cosine", 4, s => s.Cosines.DefaultIfEmpty(0).Average()),
        ])
        {
            Finding = Invariant($"The sweep has {sweep.Count} models of {sweep[0].Model.Options.Features} features in ")
                + Invariant($"{sweep[0].Model.Options.Hidden} dimensions."),
            Formula = Matching
        };

        TableColumn Numbers(string name, int digits, Func<ToyStudy, double?> of) =>
            new(name, Numbers: [.. sweep.Select(of)]) { Digits = digits };
    }

    static string[] Names(string kind, int count) => [.. Enumerable.Range(0, count).Select(i => $"{kind} {i}")];

}
