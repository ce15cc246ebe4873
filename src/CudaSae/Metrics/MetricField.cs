namespace CudaSae.Metrics;

/// <summary>A number of <see cref="StepMetrics"/> with its names, for writers that list all numbers. Truth values are 1
/// and 0.</summary>
/// <param name="Name">Name in snake_case, as in metrics.jsonl and as a column of metrics.csv.</param>
/// <param name="Tag">Name of its chart in TensorBoard: group/name.</param>
/// <param name="Of">Returns the number of a step; null if the step has none.</param>
sealed record MetricField(string Name, string Tag, Func<StepMetrics, double?> Of)
{
    /// <summary>All fields, in the order of the record; step and vectors are first.</summary>
    public static IReadOnlyList<MetricField> All { get; } =
    [
        new("step", "data/step", m => m.Step),
        new("vectors", "data/vectors", m => m.Vectors),
        new("loss", "loss/total", m => m.Loss),
        new("fvu", "reconstruction/fvu", m => m.Fvu),
        new("l0", "sparsity/l0", m => m.L0),
        new("dead_percent", "sparsity/dead_percent", m => m.DeadPercent),
        new("aux_loss", "loss/aux", m => m.AuxLoss),
        new("sparsity", "loss/sparsity", m => m.Sparsity),
        new("gate_loss", "loss/gate", m => m.GateLoss),
        new("coefficient", "sparsity/coefficient", m => m.Coefficient),
        new("shrinkage", "reconstruction/shrinkage", m => m.Shrinkage),
        new("gradient_norm", "optimizer/gradient_norm", m => m.GradientNorm),
        new("learning_rate", "optimizer/learning_rate", m => m.LearningRate),
        new("rows_per_second", "speed/rows_per_second", m => m.RowsPerSecond),
        new("encode_gflops", "speed/encode_gflops", m => m.EncodeGflops),
        new("percent_of_limit", "speed/percent_of_limit", m => m.PercentOfLimit),
        new("overflows", "path/overflows", m => m.Overflows),
        new("dense", "path/dense", m => m.Dense ? 1 : 0),
        new("dense_difference", "path/dense_difference", m => m.DenseDifference),
        new("prepare_ms", "time/prepare_ms", m => m.PrepareMs),
        new("encode_ms", "time/encode_ms", m => m.EncodeMs),
        new("decode_ms", "time/decode_ms", m => m.DecodeMs),
        new("aux_ms", "time/aux_ms", m => m.AuxMs),
        new("backward_ms", "time/backward_ms", m => m.BackwardMs),
        new("optimize_ms", "time/optimize_ms", m => m.OptimizeMs),
        new("latents_ms", "time/latents_ms", m => m.LatentsMs),
        new("input_wait_ms", "data/input_wait_ms", m => m.InputWaitMs),
        new("feeder_wait_ms", "data/feeder_wait_ms", m => m.FeederWaitMs),
        new("screening_audits", "path/screening_audits", m => m.ScreeningAudits),
        new("screening_misses", "path/screening_misses", m => m.ScreeningMisses),
        new("screening_shortfall", "path/screening_shortfall", m => m.ScreeningShortfall),
    ];
}
