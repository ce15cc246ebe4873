using CudaSae.Backends.Cpu;
using CudaSae.Lab.Synthetic;

namespace CudaSae.Tests;

/// <summary>Each family finds a known dictionary: 32 features in 20 dimensions, with two active features a
/// row.</summary>
[Trait("speed", "slow")]
public class RecoveryTests
{
    const int Features = 32, Width = 20, Latents = 64, K = 2;

    /// <summary>Preset, and λ where the method does not determine L0.</summary>
    public static TheoryData<string, float> Families => new()
    {
        { "monosemanticity", 2 }, { "april-2024", 1.5f }, { "ghost-grads", 1.5f }, { "p-anneal", 2.5f }, { "gated", 4 },
        { "jumprelu", 1 }, { "jan-2025", 0.5f },
        { "topk", 0 }, { "batch-topk", 0 }, { "matryoshka", 0 }, { "multi-topk", 0 }, { "hierarchical-topk", 0 },
        { "tied-topk", 0 },
    };

    [Theory, MemberData(nameof(Families))]
    public void FamilyFindsTheTrueFeatures(string name, float coefficient)
    {
        using var folder = new TemporaryFolder();
        using var world = new Superposition(new()
        {
            Features = Features, Width = Width, Rows = 20_000, L0 = 2,
            Noise = 0.01, Seed = 3
        });
        world.WriteRows(folder["x.npy"]);
        using var source = ActivationSource.Open([folder["x.npy"]]);
        var run = new TrainConfig { BatchRows = 256, Vectors = 256 * 2000 };
        var (spec, config) = Preset.Named(name).Make(Width, Latents, K, run);
        if (spec.Penalty is { } penalty) spec = spec with { Penalty = penalty with { Coefficient = coefficient } };
        // A prefix shorter than the number of features must mix them, so Matryoshka's first width holds them all.
        if (spec.Nested is Nesting.Prefixes prefixes)
            spec = spec with { Nested = prefixes with { Widths = [Features + 8] } };
        var start = new TrainingStart(source, source.Rows, spec, config);
        using var backend = new CpuBackend(spec, config, source.Type, 2);
        using var parameters = start.Weights(spec, config);
        backend.SetParameters(parameters);
        new Trainer(backend, source, source.Rows, start.Scale, null, new RecordingObserver())
            .Run(default, CancellationToken.None);
        backend.GetParameters(parameters);
        var recovery = Recovery.Of(world.Dictionary, parameters.WDec);
        var l0 = Evaluator.Run(backend, new(source, 0, 4096), start.Scale).L0;
        Assert.True(recovery.Recovered >= 0.95,
            $"{name}: {100 * recovery.Recovered:0.0} % recovered, MMCS {recovery.MeanMaxCosine:0.000}, L0 {l0:0.0}");
    }
}
