using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>Runs single phases, for benchmarks.</summary>
sealed unsafe partial class KernelBackend : IPhases
{
    IDevice? IPhases.Device => device;
    nint IPhases.Stream => Settled;

    void IPhases.Run(StepPhase phase)
    {
        switch (phase)
        {
            case StepPhase.Prepare: phases.Prepare.Run(pool); break;
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
        var (b, B, k, ld, lo) = (Buffers, Config.BatchRows, Spec.Active, Buffers.Ld, Buffers.Lo);
        switch (phase)
        {
            case StepPhase.Prepare: return [Output("x_centered", "BF16", b.XCentered.Pointer, B, ld)];
            case StepPhase.Encode:
                return stepDense ? []
                    : [Output("index", "I32", b.Index.Pointer, B, k), Output("value", "F32", b.Value.Pointer, B, k)];
            case StepPhase.Decode:
                var residual = Output("residual", "F32", b.Residual.Pointer, B, lo);
                return stepDense ? [residual] : [residual, Output("value_grad", "F32", b.ValueGrad.Pointer, B, k)];
            case StepPhase.Aux:
                var window = Spec.DeadWindow == 0 ? 0 : Download<int>(b.AuxCount.Pointer, 1)[0];
                return window == 0 ? []
                    : [Output("aux_enc_grad", "F32", b.AuxEncGrad.Pointer, window, ld),
                        Output("aux_dec_grad", "F32", b.AuxDecGrad.Pointer, window, lo)];
            case StepPhase.Backward:
                if (stepDense) return [];
                var entries = (uint)Download<ulong>(phases.Backward.Start.Pointer + 8UL * (ulong)Context.Latents, 1)[0];
                return [Output("run_start", "I64", phases.Backward.Start.Pointer, Context.Latents + 1L),
                    Output("run_entry", "I32", phases.Backward.Entry.Pointer, entries)];
            case StepPhase.Optimize:
                return [.. Arrays.Where(a => a.Array.Name != "last_fired")
                    .Select(a => new PhaseOutput(a.Array, a.Pointer))];
            default: return [Output("last_fired", "I32", b.LastFired.Pointer, Context.Latents)];
        }
    }

    static PhaseOutput Output(string name, string type, ulong address, params long[] shape) =>
        new(new(name, type, shape), address);

    void IPhases.ReadOutput(PhaseOutput output, long offset, Span<byte> into) =>
        device.Download(into, output.Address + (ulong)offset, Settled);
}
