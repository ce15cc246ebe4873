using System.Runtime.InteropServices;

namespace CudaSae.Training;

/// <summary>The numbers that change with every step. On a device they live in one block that each kernel reads, so that a
/// captured graph need not be captured again. Mirrors <c>StepScalars</c> of kernels/params.h.</summary>
[StructLayout(LayoutKind.Sequential, Size = 128)]
public struct StepScalars
{
    public ulong Seed;              // of the run
    public uint Step;               // t, from 1
    public float LearningRate;      // of this step
    public float Beta1, Beta2, Epsilon;
    public float Correction1;       // 1 / (1 − beta1^t); 1 for Sgd
    public float Correction2;       // 1 / (1 − beta2^t)
    public float InputScale;        // x = InputScale · raw
    public float LossScale;         // 1 / (B · Var): L = LossScale · Σ‖e‖²
    public float AuxCoefficient;    // α, 0 when there is no auxiliary loss
    public float ClipNorm;          // cut to this norm
    public float EmaDecay;          // 0 for none
    public uint DeadAfterSteps;     // a latent is dead when Step − its last firing ≥ this
}
