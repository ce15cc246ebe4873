using CudaSae.Backends;
using CudaSae.Metrics;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>The order of a training step: the one place where it is written down.</summary>
sealed class SaeStep(IBackend backend)
{
    readonly Action rest = () => AfterEncoding(backend);

    /// <summary>One step on the input in <paramref name="slot"/>. Where the backend can, the first step on each path is
    /// recorded and the later ones replay it.</summary>
    /// <param name="times">Takes the phases' times, on a backend that <see cref="IBackend.IsSynchronous"/>; null to
    /// look at no clock.</param>
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

    /// <summary>The forward half alone, for evaluation: no weight, counter or moment changes.</summary>
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
        backend.AuxLoss();          // dead latents predict the residual, by AuxK or as ghosts
        times?.Mark(StepPhase.Aux);
        backend.Backward();         // rows to latents; gradient norm if clipping needs it
        times?.Mark(StepPhase.Backward);
        backend.Optimize();         // per latent: gradient, project, clip, Adam, renormalise; then b_dec
        times?.Mark(StepPhase.Optimize);
        backend.TrackLatents();     // fired, dead
        times?.Mark(StepPhase.Latents);
        backend.EndStep();          // sums, read one step late
    }
}
