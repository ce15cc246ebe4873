using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Data;
using CudaSae.Model;
using CudaSae.Training;
using CudaSae.Verification;
using Xunit;

namespace CudaSae.Tests;

/// <summary>Where a shared test body runs. A target that this machine lacks is skipped by name.</summary>
static class Targets
{
    public static readonly string[] Names = ["cpu", "cpu, one thread"];

    public static void Require(string target) => Assert.SkipUnless(Names.Contains(target), $"target {target} is not on this machine");

    public static Func<SaeSpec, TrainConfig, InputType, IBackend> Create(string target) => target switch
    {
        "cpu" => (spec, config, type) => new CpuBackend(spec, config, type, 2),
        "cpu, one thread" => (spec, config, type) => new CpuBackend(spec, config, type, 1),
        _ => throw new ArgumentOutOfRangeException(nameof(target)),
    };

    public static Rounding Rounding(string target) => Verification.Rounding.None;
}
