using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Backends;

/// <summary>Functions of a backend for benchmarks: they run a single phase and read its outputs.</summary>
interface IPhases
{
    /// <summary>The device on which phases are launched; null if a phase is complete when it returns.</summary>
    IDevice? Device { get; }
    nint Stream { get; }

    /// <summary>Runs one phase of the step that was started last, on the sparse path.</summary>
    void Run(StepPhase phase);

    /// <summary>Returns the outputs of a phase of that step, by name: x_centered; index, value; residual, value_grad;
    /// run_start, run_entry; the state; last_fired. Waits for the phase.</summary>
    IReadOnlyList<PhaseOutput> Outputs(StepPhase phase);

    /// <summary>Copies bytes [offset, offset + length) of an output; waits for the phase.</summary>
    void ReadOutput(PhaseOutput output, long offset, Span<byte> into);
}

/// <summary>An output of a phase.</summary>
/// <param name="Array">Its name, type and shape.</param>
/// <param name="Address">Address of its first byte, on the host or on the device.</param>
sealed record PhaseOutput(StateArray Array, ulong Address);
