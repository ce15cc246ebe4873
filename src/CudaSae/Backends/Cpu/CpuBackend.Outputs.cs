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

    IReadOnlyList<PhaseOutput> IPhases.Outputs(StepPhase phase)
    {
        int B = context.Rows, n = context.Latents, k = context.Active, ld = context.InStride, lo = context.OutStride;
        var (b, window, runs) = (Buffers, phases.Window, phases.Backward);
        switch (phase)
        {
            case StepPhase.Prepare: return [Output("x_centered", "F32", b.Centered, B, ld)];
            case StepPhase.Encode:
                return step.Dense ? [] : [Output("index", "I32", b.Index, B, k), Output("value", "F32", b.Value, B, k)];
            case StepPhase.Decode:
                var residual = Output("residual", "F32", b.Residual, B, lo);
                return step.Dense ? [residual] : [residual, Output("value_grad", "F32", b.ValueGrad, B, k)];
            case StepPhase.Aux:
                return window.Length == 0 ? []
                    : [Output("aux_enc_grad", "F32", window.EncGrad, window.Length, ld),
                        Output("aux_dec_grad", "F32", window.DecGrad, window.Length, lo)];
            case StepPhase.Backward:
                return step.Dense ? []
                    : [Output("run_start", "I32", runs.Start, n + 1),
                        Output("run_entry", "I32", runs.Entry, runs.Start[n])];
            case StepPhase.Optimize:
                return [.. Arrays.Where(a => a.Array.Name != "last_fired")
                    .Select(a => new PhaseOutput(a.Array, (ulong)a.Memory))];
            default: return [Output("last_fired", "I32", b.LastFired, n)];
        }
    }

    static PhaseOutput Output(string name, string type, void* memory, params long[] shape) =>
        new(new(name, type, shape), (ulong)memory);

    void IPhases.ReadOutput(PhaseOutput output, long offset, Span<byte> into) =>
        new ReadOnlySpan<byte>((byte*)output.Address + offset, into.Length).CopyTo(into);
}
