using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Backends;

/// <summary>What benchmarks need of a backend beyond whole steps: a phase by itself, and what it wrote.</summary>
interface IPhases
{
    /// <summary>Where phases are launched; null where they are over when they return.</summary>
    IDevice? Device { get; }
    nint Stream { get; }

    /// <summary>Runs one phase of the step that was begun last, on its sparse path.</summary>
    void Run(StepPhase phase);

    /// <summary>What a phase of that step left, by name: x_centered; index, value; residual, value_grad; run_start,
    /// run_entry; the state; last_fired. Waits for the phase.</summary>
    IReadOnlyList<PhaseOutput> Outputs(StepPhase phase);

    /// <summary>Copies bytes [offset, offset + length) of an output; waits for the phase.</summary>
    void ReadOutput(PhaseOutput output, long offset, Span<byte> into);
}

/// <param name="Address">Of its first byte, on the host or on the device.</param>
sealed record PhaseOutput(StateArray Array, ulong Address);
