using System.Runtime.InteropServices;

namespace CudaSae.Model;

/// <summary>What one latent brings to a step besides its rows, formed once a step. Mirrors kernels/params/loss.h.</summary>
[StructLayout(LayoutKind.Sequential)]
struct LatentScalars
{
    public float Omega;         // ω of the penalty
    public float Norm;          // ‖WDec_f‖, over sites their sum
    public float Theta;         // θ in units of z
    public float Epsilon;       // ε of JumpReLU's kernel
    public float ExpR;          // e^r of Gated
    public float Gate, Mag;     // b_gate, b_mag
    public float Low;           // only z above this can matter
    public float PreAct;        // λ_P / B where the pre-activation loss applies, else 0
}

/// <summary>Gradients of one entry, or their sums over a latent's entries. Mirrors kernels/params/loss.h.</summary>
[StructLayout(LayoutKind.Sequential)]
struct EntryGradient
{
    public float Input;         // ∂L/∂⟨w, x − b_dec⟩
    public float Bias;          // ∂L/∂b_enc
    public float Norm;          // ∂L/∂ω
    public float Threshold;     // ∂L/∂θ, or of log θ
    public float Mag, Scale;    // ∂L/∂b_mag, ∂L/∂r
    public float Base;          // on kernels: the pre-activation loss's slope on all rows

    public void Add(in EntryGradient other)
    {
        Input += other.Input;
        Bias += other.Bias;
        Norm += other.Norm;
        Threshold += other.Threshold;
        Mag += other.Mag;
        Scale += other.Scale;
    }
}
