using CudaSae.Backends;

namespace CudaSae.Training;

/// <summary>The order of a training step: the one place where it is written down.</summary>
public sealed class SaeStep(IBackend backend)
{
    bool captured, refused, dense;

    /// <summary>One step on the input in <paramref name="slot"/>. Where the backend can, the first step is recorded and the later ones replay it.</summary>
    /// <param name="times">Takes the phases' times, on a backend that <see cref="IBackend.IsSynchronous"/>; null to look at no clock.</param>
    public void Run(int slot, in StepScalars scalars, PhaseTimes? times = null)
    {
        if (dense != backend.Dense) (captured, dense) = (false, backend.Dense);     // another path is another recording
        if (captured)
        {
            backend.Replay(slot, scalars);
            return;
        }
        times?.Start(scalars.Step);
        backend.BeginStep(slot, scalars);
        times?.Mark(StepPhase.Prepare);
        Phases(times);
        if (refused) return;
        if (backend.BeginCapture())
        {
            Phases();
            backend.EndCapture();
            captured = true;
        }
        else refused = true;
    }

    /// <summary>The forward half alone, for evaluation: no weight, counter or moment changes.</summary>
    public void Evaluate(int slot, in StepScalars scalars)
    {
        backend.BeginStep(slot, scalars);
        backend.EncodeSelect();
        backend.DecodeLoss();
        backend.EndStep();
    }

    void Phases(PhaseTimes? times = null)
    {
        backend.EncodeSelect();     // code = select((x − b_dec) WEncᵀ + b_enc)
        times?.Mark(StepPhase.Encode);
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
