using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>Phases one at a time, for benchmarks.</summary>
sealed unsafe partial class CpuBackend : IPhases
{
    IDevice? IPhases.Device => null;
    nint IPhases.Stream => 0;

    void IPhases.Run(StepPhase phase)
    {
        switch (phase)
        {
            case StepPhase.Prepare: Prepare(); break;
            case StepPhase.Encode: EncodeSelect(); break;
            case StepPhase.Decode: DecodeLoss(); break;
            case StepPhase.Aux: AuxLoss(); break;
            case StepPhase.Backward: Backward(); break;
            case StepPhase.Optimize: Optimize(); break;
            default: TrackLatents(); break;
        }
    }

    IReadOnlyList<PhaseOutput> IPhases.Outputs(StepPhase phase) => phase switch
    {
        StepPhase.Prepare => [Output("x_centered", "F32", centered, B, ld)],
        StepPhase.Encode => stepDense ? [] : [Output("index", "I32", index, B, k), Output("value", "F32", value, B, k)],
        StepPhase.Decode => [Output("residual", "F32", residual, B, lo),
            .. stepDense ? (PhaseOutput[])[] : [Output("value_grad", "F32", valueGrad, B, k)]],
        StepPhase.Aux =>
            windowLength == 0 ? []
                : [Output("aux_enc_grad", "F32", deadEncGrad, windowLength, ld),
                    Output("aux_dec_grad", "F32", deadDecGrad, windowLength, lo)],
        StepPhase.Backward =>
            stepDense ? []
                : [Output("run_start", "I32", runStart, n + 1), Output("run_entry", "I32", runEntry, runStart[n])],
        StepPhase.Optimize =>
            [.. Arrays.Where(a => a.Array.Name != "last_fired").Select(a => new PhaseOutput(a.Array, (ulong)a.Memory))],
        _ => [Output("last_fired", "I32", lastFired, n)],
    };

    static PhaseOutput Output(string name, string type, void* memory, params long[] shape) =>
        new(new(name, type, shape), (ulong)memory);

    void IPhases.ReadOutput(PhaseOutput output, long offset, Span<byte> into) =>
        new ReadOnlySpan<byte>((byte*)output.Address + offset, into.Length).CopyTo(into);
}
