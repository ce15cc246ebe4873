using System.Runtime.InteropServices;

namespace CudaSae.Model;

/// <summary>What a step measured, summed in fixed order. Mirrors <c>StepSums</c> of kernels/params/step.h.</summary>
[StructLayout(LayoutKind.Sequential, Size = 256)]
struct StepSums
{
    public double SquaredError;     // Σ_b ‖x̂ − y‖², y the target: x unless transcoding
    public double SquaredNorm;      // Σ_b ‖y‖²
    public double Spread;           // Σ_b ‖y − ȳ‖²; 0 where all rows are equal
    public double AuxSquaredError;  // Σ_b ‖ê − (y − x̂)‖²; 0 without auxiliary loss
    public double AuxVariance;      // Σ_b ‖e − ē‖²
    public double GradientNorm;     // global norm after projection, before clipping
    public double LevelError;       // Σ_m w_m Σ_b ‖e_m‖² over nested reconstructions
    public double GateError;        // Σ_b ‖x̂(relu π) − y‖² of Gated
    public double Penalty;          // Σ_b Σ_f of the penalty, without λ
    public double NextPenalty;      // the same with NextPower
    public double PreAct;           // Σ_b Σ_f relu(θ − z) ω, without λ_P
    public double Ghost;            // Σ_b of the scaled ghost loss
    public double ReconstructionNorm; // Σ_b ‖x̂‖²
    public long Active;             // entries of the code with value ≠ 0
    public long Overflows;          // rows whose candidates overflowed and took the exact fallback
    public int Dead;                // latents dead after this step
    public uint Step;               // whose sums these are
    public int MaxRow;              // entries of the fullest row, those near a threshold included
    public int Dense;               // 1: the step took the dense path
    public float Threshold;         // BatchTopK's running threshold
    public int ScreeningAudits;     // of 8-bit screening, since the run began
    public int ScreeningMisses;     // entries that it lost in the audited steps
    public float ScreeningShortfall; // the largest of them above what took its place
}
