using CudaSae.Backends;
using CudaSae.Metrics;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>Defines the order of phases in a training step.</summary>
sealed class SaeStep(IBackend backend)
{
    readonly Action rest = () => AfterEncoding(backend);

    /// <summary>Runs one step on the input in <paramref name="slot"/>. If the backend supports it, the first step on
    /// each path is recorded and later steps replay it.</summary>
    /// <param name="times">Receives the times of phases on a backend that <see cref="IBackend.IsSynchronous"/>; null to
    /// measure none.</param>
    public void Run(int slot, in StepScalars scalars, PhaseTimes? times = null)
    {
        if (backend.Replay(slot, scalars, rest)) return;
        times?.Start(scalars.Step);
        backend.BeginStep(slot, scalars);
        Phases(times);
        if (!backend.BeginCapture()) return;
        Phases();
        backend.EndCapture();
    }

    /// <summary>Runs only the forward half, for evaluation; weights, counters and moments do not change.</summary>
    public void Evaluate(int slot, in StepScalars scalars)
    {
        backend.BeginStep(slot, scalars);
        backend.Prepare();
        backend.EncodeSelect();
        backend.DecodeLoss();
        backend.EndStep();
    }

    void Phases(PhaseTimes? times = null)
    {
        backend.Prepare();          // x = scale · input, x − b_dec
        times?.Mark(StepPhase.Prepare);
        backend.EncodeSelect();     // code = select((x − b_dec) WEncᵀ + b_enc)
        times?.Mark(StepPhase.Encode);
        AfterEncoding(backend, times);
    }

    /// <summary>The phases after encoding.</summary>
    internal static void AfterEncoding(IBackend backend, PhaseTimes? times = null)
    {
        backend.DecodeLoss();       // x̂, e = x̂ − x, L, ∂L/∂value
        times?.Mark(StepPhase.Decode);
        backend.AuxLoss();          // dead latents predict the residual
        times?.Mark(StepPhase.Aux);
        backend.Backward();         // transposes the code; gradient norm if clipping needs it
        times?.Mark(StepPhase.Backward);
        backend.Optimize();         // per latent: gradient, projection, clipping, Adam, renormalization; then b_dec
        times?.Mark(StepPhase.Optimize);
        backend.TrackLatents();     // fired and dead latents
        times?.Mark(StepPhase.Latents);
        backend.EndStep();          // sums, read one step late
    }
}
