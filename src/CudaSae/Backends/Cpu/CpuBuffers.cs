using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>Memory that more than one phase reads or writes. Row lengths ld and lo are d and D rounded up to 16 floats;
/// padding is zero. Each phase takes the scratch that it alone uses.</summary>
sealed unsafe class CpuBuffers
{
    public CpuBuffers(CpuContext c)
    {
        var (arena, spec) = (c.Arena, c.Spec);
        long B = c.Rows, n = c.Latents, k = c.Active, ld = c.InStride, lo = c.OutStride;
        var slotBytes = B * spec.RowWidth * c.InputType.Bytes();
        for (var s = 0; s < 2; s++) Slots[s] = arena.Take<byte>($"input slot {s}", slotBytes);
        X = arena.Take<float>("x", B * ld);
        Y = spec.Transcoder is null ? X : arena.Take<float>("target", B * lo);
        Centered = arena.Take<float>("x - b_dec", B * ld);
        Packed = arena.Take<float>("x - b_dec, packed", c.Panels * ld * Gemm.TileColumns);
        WEnc = arena.Take<float>("w_enc", n * ld);
        WDec = arena.Take<float>("w_dec", n * lo);
        BEnc = arena.Take<float>("b_enc", n);
        BDec = arena.Take<float>("b_dec", lo);
        Threshold = arena.Take<float>("threshold", spec.Selection is Selection.JumpRelu ? n : 0);
        BMag = arena.Take<float>("b_mag", c.Gated ? n : 0);
        RMag = arena.Take<float>("r_mag", c.Gated ? n : 0);
        TieScale = arena.Take<float>("tie scale", spec.Tying == Tying.Scaled ? n : 0);
        WSkip = arena.Take<float>("w_skip", c.Skips ? c.OutWidth * ld : 0);

        Index = arena.Take<int>("code index", B * k);
        RowCount = arena.Take<int>("code entries", B);
        Value = arena.Take<float>("code value", B * k);
        PreAct = c.Paired ? arena.Take<float>("code pre-activation", B * k) : Value;
        Level = arena.Take<byte>("code level", spec.Levels > 1 ? B * k : 0);
        ValueGrad = arena.Take<float>("code value gradient", B * k);
        EntryGrad = arena.Take<EntryGradient>("code gradients", c.Plain ? 0 : B * k);

        Residual = arena.Take<float>("residual", B * lo);
        Weighted = c.Nested ? arena.Take<float>("residuals of nested losses", spec.Levels * B * lo) : Residual;
        GateResidual = arena.Take<float>("gate residual", c.Gated ? B * lo : 0);

        LastFired = arena.Take<int>("step of last firing", n);
        Latents = arena.Take<LatentScalars>("latent scalars", c.Plain ? 0 : n);
        RowScratch = arena.Take<float>("row gradients", c.Workers.Count * (ld + lo));
    }

    public readonly byte*[] Slots = new byte*[2];       // [B, row width] of the input's own type
    public readonly float* X, Y;                        // [B, ld] input and [B, lo] target, scaled; Y is X in an SAE
    public readonly float* Centered;                    // [B, ld] x − b_dec
    public readonly float* Packed;                      // the same in panels [ld, 48], rows as lanes
    public readonly float* WEnc, WDec, BEnc, BDec;      // [n, ld], [n, lo], [n], [lo]
    public readonly float* Threshold, BMag, RMag, TieScale;     // [n] each, null where the spec has no use for it
    public readonly float* WSkip;                       // [D, ld]
    public readonly int* Index, RowCount;               // [B, k] latents of the code; [B] entries of a row
    public readonly float* Value, PreAct;               // [B, k] value and z; one array where the value determines z
    public readonly byte* Level;                        // [B, k] first reconstruction that holds an entry
    public readonly float* ValueGrad;                   // [B, k] 2c ⟨E, WDec⟩, then ∂L/∂⟨w, x − b_dec⟩
    public readonly EntryGradient* EntryGrad;           // [B, k] all gradients of an entry; null where Plain
    public readonly float* Residual;                    // [B, lo] e = x̂ − y
    public readonly float* Weighted;                    // [levels, B, lo] E_l = Σ_{m ≥ l} w_m e_m; e where not Nested
    public readonly float* GateResidual;                // [B, lo] of the reconstruction from relu(π)
    public readonly int* LastFired;                     // [n] step
    public readonly LatentScalars* Latents;             // [n]; null where Plain
    public readonly float* RowScratch;                  // [workers, ld + lo]
}
