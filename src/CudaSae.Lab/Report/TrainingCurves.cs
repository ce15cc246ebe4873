using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Training.Checkpoints;
using static CudaSae.Lab.Report.Words;

namespace CudaSae.Lab.Report;

/// <summary>The chapter on training: what each logged step measured, and the settings of the run.</summary>
sealed class TrainingCurves
{
    const int MostPoints = 20_000;     // on a curve; longer logs are thinned, because a screen has fewer columns

    readonly MetricsHistory history;
    readonly float[] steps;
    readonly int[] kept;
    readonly RunRecord? record;
    readonly double? heldOutFvu;

    TrainingCurves(MetricsHistory history, RunRecord? record, double? heldOutFvu)
    {
        (this.history, this.record, this.heldOutFvu) = (history, record, heldOutFvu);
        var every = (history.Count + MostPoints - 1) / MostPoints;
        kept = [.. Enumerable.Range(0, history.Count)
            .Where(i => i % Math.Max(1, every) == 0 || i == history.Count - 1)];
        steps = Column("step");
    }

    /// <summary>Makes the chapter of a run's folder, or of a folder that holds only metrics.jsonl.</summary>
    /// <param name="record">The record of the run; null if there is none.</param>
    /// <param name="heldOutFvu">FVU on held-out rows, if it was measured. It is drawn beside the FVU of the training
    /// batches.</param>
    /// <returns>The chapter; null if the folder holds neither a log nor a record.</returns>
    /// <exception cref="SaeException">The log cannot be read.</exception>
    public static Chapter? Of(string folder, RunRecord? record = null, double? heldOutFvu = null)
    {
        var path = Path.Combine(folder, MetricsHistory.FileName);
        if (!File.Exists(path))
            return record is null ? null : new("training", "Training", 0, [RunSettings.Table(record)]);
        var curves = new TrainingCurves(MetricsHistory.Read(path), record, heldOutFvu);
        IEnumerable<Figure?> figures =
        [
            curves.Fvu(), curves.Loss(), curves.Active(), curves.Dead(), curves.Shrinkage(), curves.Coefficient(),
            curves.Gradient(), curves.LearningRate(), curves.Throughput(), curves.Phases(), curves.Waits(),
            curves.PathTaken(), curves.DenseDifference(), record is null ? null : RunSettings.Table(record),
        ];
        return new("training", "Training", 0, [.. figures.OfType<Figure>()]);
    }

    float[] Column(string name)
    {
        var all = history.Column(name);
        return kept.Length == all.Length ? all : [.. kept.Select(i => all[i])];
    }

    /// <summary>A field as a curve; null if it was never measured or was always 0.</summary>
    Series? Curve(string field, string name) =>
        Column(field) is var y && y.Any(v => float.IsFinite(v) && v != 0) ? new(name, steps, y) : null;

    Series Level(string name, double y) =>
        new(name, steps.Length == 0 ? [] : [steps[0], steps[^1]], steps.Length == 0 ? [] : [(float)y, (float)y])
        {
            Yardstick = true
        };

    LinesFigure Lines(string id, string title, Axis y, string finding, string formula, params Series?[] series) =>
        new(id, title, new("step"), y, [.. series.OfType<Series>()]) { Finding = finding + Thinned, Formula = formula };

    string Thinned => kept.Length == history.Count ? "" : $" (Drawn: {kept.Length} of {history.Count} logged steps.)";

    string Log => $"{Counted(history.Count, "logged step")}{WentBack}"
        + $"{(history.Damaged > 0 ? $"; {Counted(history.Damaged, "line")} cut by a crash" : "")}";

    string WentBack => history.Restarts == 0 ? ""
        : $"; training went back {Times(history.Restarts)} before a logged step, where the later line counts";

    LinesFigure Fvu()
    {
        var fvu = Trend.Of(steps, Column("fvu"));
        var finding = fvu is not { } f ? "No batch's FVU was logged."
            : $"FVU on the training batches went from {Number(f.First)} at step {f.FirstStep} to {Number(f.End)}, the "
                + $"mean of the last tenth ({Log})"
            + (heldOutFvu is { } held
                ? $"; on held-out rows it is {Number(held)}, {Ratio(held / f.End)} times as much." : ".");
        return Lines("fvu", "Fraction of variance unexplained", new("FVU", Log: true), finding,
            "FVU = Σ‖x̂−y‖² / Σ‖y−ȳ‖², sums over one batch before its update; held out: over all held-out rows.",
            Curve("fvu", "training batches"), heldOutFvu is { } level ? Level("held-out rows", level) : null);
    }

    LinesFigure Loss()
    {
        var (loss, terms) = (Column("loss"), new[] { "aux_loss", "sparsity", "gate_loss" });
        var rest = loss.ToArray();
        foreach (var column in terms.Select(Column))
            for (var i = 0; i < rest.Length; i++) rest[i] -= float.IsNaN(column[i]) ? 0 : column[i];
        Series?[] parts = [Curve("aux_loss", "auxiliary"), Curve("sparsity", "sparsity"), Curve("gate_loss", "gate")];
        var several = parts.Any(p => p is not null);
        var finding = Trend.Of(steps, loss) is not { } l ? "No loss was logged."
            : $"The loss went from {Number(l.First)} at step {l.FirstStep} to {Number(l.End)} (mean of the last "
                + $"tenth); its lowest, {Number(l.Min)}, was at step {l.MinStep}"
            + string.Concat(parts.OfType<Series>()
                .Select(p => $"; {p.Name} {Percent(Trend.Of(steps, p.Y)!.Value.End / l.End)} of the loss at the end"))
            + ".";
        return Lines("loss", "Loss and its terms", new("loss", Log: true), finding,
            "loss = reconstruction + auxiliary (AuxK or ghosts) + sparsity (λ times the penalty, and the "
                + "pre-activation loss) + gate; docs/internals/math.md.",
            [Curve("loss", "loss"), several ? new("reconstruction", steps, rest) : null, .. parts]);
    }

    LinesFigure Active()
    {
        var k = record?.Spec is { IsThresholded: false } spec
            ? (spec.Selection is Selection.BatchTopK batch ? batch.K : spec.ActiveAtInference) : (int?)null;
        var finding = Trend.Of(steps, Column("l0")) is { } l
            ? $"{Number(l.End)} latents fire per row at the end (mean of the last tenth), and between {Number(l.Min)} "
                + $"and {Number(l.Max)} over the run."
            : "No L0 was logged.";
        return Lines("l0", "Active latents a row", new("L0", Log: true), finding,
            "L0: number of values ≠ 0 in the code of a row, mean over the batch.", Curve("l0", "L0"),
            k is { } level ? Level($"k = {level}", level) : null);
    }

    LinesFigure? Dead()
    {
        // Older versions did not count dead latents for recipes without revival.
        if (record is { Spec: { Aux: null, Ghost: null, PreAct: null, DeadAfterTokens: 0 } }
            && Curve("dead_percent", "") is null) return null;
        var finding = Trend.Of(steps, Column("dead_percent")) is { } d
            ? $"At most {Number(d.Max)} % of the latents were dead, at step {d.MaxStep}; {Number(d.Last)} % at the "
                + "last logged step."
            : "No share of dead latents was logged.";
        return Lines("dead", "Dead latents", new("dead", "%"), finding,
            "Share of the n latents that fired on none of the last DeadAfterTokens rows.",
            new Series("dead", steps, Column("dead_percent")));
    }

    LinesFigure? Coefficient() =>
        Curve("coefficient", "λ") is not { } curve ? null : Lines("lambda", "Sparsity coefficient", new("λ"),
        Trend.Of(steps, curve.Y) is { } c
            ? $"λ reached {Number(c.Max)} at step {c.MaxStep} and was {Number(c.Last)} at the last logged step."
            : "", "λ of the step, including its warm-up.", curve);

    LinesFigure Gradient()
    {
        var finding = Trend.Of(steps, Column("gradient_norm")) is { } g
            ? $"The median norm is {Number(g.Median)}; the largest, {Number(g.Max)} at step {g.MaxStep}, is "
                + $"{Ratio(g.Max / g.Median)} times that."
            : "No gradient norm was logged.";
        return Lines("gradient-norm", "Gradient norm", new("‖g‖", Log: true), finding,
            "‖g‖ over all parameters, after projection and before clipping.", Curve("gradient_norm", "‖g‖"),
            record?.Config is { Clip: not ClipKind.None } c ? Level("clipped at", c.ClipNorm) : null);
    }

    LinesFigure LearningRate()
    {
        var finding = Trend.Of(steps, Column("learning_rate")) is { } r
            ? $"The highest logged learning rate is {Number(r.Max)}, at step {r.MaxStep}; the last is {Number(r.Last)}."
            : "No learning rate was logged.";
        return Lines("learning-rate", "Learning rate", new("learning rate", Log: true), finding,
            "η of the step: warm-up, plateau and decay. It is lower after a resampling if the recipe sets that.",
            Curve("learning_rate", "η"));
    }

    LinesFigure Shrinkage()
    {
        var finding = Trend.Of(steps, Column("shrinkage")) is not { } s ? "No γ was logged."
            : $"γ is {Number(s.End)} at the end (mean of the last tenth): the reconstructions are "
                + $"{(s.End < 1 ? "too short" : "too long")} by {Percent(Math.Abs(1 - s.End))}.";
        return Lines("gamma", "Shrinkage", new("γ"), finding,
            "γ = Σ‖x̂‖² / Σ⟨x̂, y⟩ over the batch; 1 is unbiased; below 1 the reconstructions are too short "
                + "(Rajamanoharan et al. 2024, arXiv 2404.16014).",
            Curve("shrinkage", "γ"), Level("unbiased", 1));
    }

    LinesFigure Throughput()
    {
        var limit = Trend.Of(steps, Column("percent_of_limit")) is { } l
            ? $", {Number(l.Median)} % of what the measured ceilings of this machine allow" : "";
        var finding = Trend.Of(steps, Column("rows_per_second")) is { } r
            ? $"The median is {Number(r.Median)} rows a second{limit}; the slowest interval had {Number(r.Min)}, at "
                + $"step {r.MinStep}."
            : "No speed was logged.";
        return Lines("throughput", "Throughput", new("speed", "rows/s", Log: true), finding,
            "Rows since the previous line, divided by the time since then, which includes checkpoints and all other "
                + "work.",
            Curve("rows_per_second", "rows/s"), Trend.Of(steps, Column("rows_per_second")) is { } t
                ? Level("median", t.Median) : null);
    }

    /// <summary>The fields that end in _ms, which newer versions log.</summary>
    LinesFigure? Phases()
    {
        var curves = history.Names.Where(n => n.EndsWith("_ms", StringComparison.Ordinal)
            && !n.EndsWith("_wait_ms", StringComparison.Ordinal))
            .Select(n => Curve(n, n[..^3].Replace('_', ' '))).OfType<Series>().ToArray();
        if (curves.Length == 0) return null;
        var medians = curves.Select(c => (c.Name, Trend.Of(steps, c.Y)!.Value.Median)).OrderByDescending(m => m.Median)
            .ToArray();
        var finding =
            $"In the logged steps, {medians[0].Name} takes longest: a median of {Number(medians[0].Median)} ms, of "
                + $"{Number(medians.Sum(m => m.Median))} ms for all phases together.";
        return Lines("phases", "Time of each phase", new("time of a step", "ms", Log: true), finding,
            "Milliseconds that each phase of a logged step took.", curves);
    }

    /// <summary>How long the step and the feeder waited for each other.</summary>
    LinesFigure? Waits()
    {
        if (Trend.Of(steps, Column("input_wait_ms")) is not { } input
            || Trend.Of(steps, Column("feeder_wait_ms")) is not { } feeder)
            return null;
        var finding =
            $"In the median a step waited {Number(input.Median)} ms for its rows, and the feeder "
                + $"{Number(feeder.Median)} ms for a step: "
                + $"{(input.Median > feeder.Median ? "reading the data" : "training")} limits the speed.";
        return Lines("waits", "Waiting for data", new("wait a step", "ms"), finding,
            "Milliseconds per step since the previous line: the time a step waited for its batch, and the time the "
                + "feeder, which is one batch ahead, waited for a free slot.",
            Curve("input_wait_ms", "step for data"), Curve("feeder_wait_ms", "data for a step"));
    }

    LinesFigure? PathTaken()
    {
        var (overflows, dense) =
            (Curve("overflows", "rows on the exact fallback"), Curve("dense", "dense path taken (1)"));
        if (overflows is null && dense is null) return null;
        var finding = (dense is null ? "No logged step took the dense path"
            : $"{Percent(dense.Y.Count(IsTrue) / (double)dense.Y.Length)} of the logged steps took the dense path, "
            + $"the last one at step {steps[Array.FindLastIndex(dense.Y, IsTrue)]}")
            + (overflows is null ? "; no row took the exact fallback."
                : $"; {Percent(overflows.Y.Count(y => y > 0) / (double)overflows.Y.Length)} of the steps had rows on "
                    + $"the exact fallback, at most {overflows.Y.Max()} in a step.");
        return Lines("path", "Dense path and fallback", new("rows; 1 where dense"), finding,
            "Dense path: the codes were too long for the sparse path. Fallback: rows whose candidates overflowed were "
                + "selected again, exactly.",
            overflows, dense);

        static bool IsTrue(float y) => float.IsFinite(y) && y != 0;
    }

    LinesFigure? DenseDifference() => Curve("dense_difference", "worst difference") is not { } curve ? null
        : Lines("dense-difference", "Dense checks", new("difference", Log: true),
            $"The worst relative difference of all checks is {Number(Trend.Of(steps, curve.Y)!.Value.Max)}.",
            "Every --validate-every steps the batch is computed again with dense products. The curve is the largest "
                + "difference of values, selection and reconstruction.",
            curve with { Points = true });
}
