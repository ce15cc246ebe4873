using System.Runtime.InteropServices;

namespace CudaSae.Training;

/// <summary>What a step measured, summed in fixed order. Mirrors <c>StepSums</c> of kernels/params.h.</summary>
[StructLayout(LayoutKind.Sequential, Size = 128)]
public struct StepSums
{
    public double SquaredError;     // Σ_b ‖x̂ − x‖²
    public double SquaredNorm;      // Σ_b ‖x‖²
    public double SquaredMean;      // ‖Σ_b x‖² / B, so SquaredNorm − SquaredMean = Σ‖x − x̄‖²
    public double AuxSquaredError;  // Σ_b ‖ê − (x − x̂)‖²; 0 without auxiliary loss
    public double AuxVariance;      // Σ_b ‖e − ē‖²
    public double GradientNorm;     // global norm after projection, before clipping
    public long Active;             // entries of the code with value > 0
    public long Overflows;          // rows whose candidates overflowed and took the exact fallback
    public int Dead;                // latents dead after this step
    public uint Step;               // whose sums these are
}
