using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>Device memory that several phases use. The pitches ld and lo are d and the output's width, rounded up to 64
/// elements; padding is zero. A single phase takes its scratch memory itself.</summary>
sealed class StepBuffers
{
    /// <param name="latents">Latents of this rank.</param>
    public StepBuffers(DeviceArena arena, SaeSpec spec, TrainConfig config, int inputElementBytes, int latents)
    {
        long B = config.BatchRows, n = latents, k = spec.Active;
        (Ld, Lo) = ((spec.InputWidth + 63) & ~63, (spec.OutputWidth + 63) & ~63);
        long ld = Ld, lo = Lo;
        bool gated = spec.Selection is Selection.Gated, paired = gated || spec.Selection is Selection.JumpRelu;
        Raw = [arena.Take<byte>("input slot 0", B * spec.RowWidth * inputElementBytes),
            arena.Take<byte>("input slot 1", B * spec.RowWidth * inputElementBytes)];
        X = arena.Take<float>("x", B * ld);
        XCentered = arena.Take<ushort>("x - b_dec, bf16", B * ld);
        Y = spec.Transcoder is null ? X : arena.Take<float>("target", B * lo);

        WEncHi = arena.Take<ushort>("w_enc, upper half", n * ld);
        WDecHi = arena.Take<ushort>("w_dec, upper half", n * lo);
        var split = config.Storage == WeightStorage.SplitFloat32;
        WEncLo = arena.Take<short>("w_enc, lower half", split ? n * ld : 0);
        WDecLo = arena.Take<short>("w_dec, lower half", split ? n * lo : 0);
        BEnc = arena.Take<float>("b_enc", n);
        BDec = arena.Take<float>("b_dec", lo);
        Threshold = arena.Take<float>("threshold", spec.Selection is Selection.JumpRelu ? n : 0);
        BMag = arena.Take<float>("b_mag", gated ? n : 0);
        RMag = arena.Take<float>("r_mag", gated ? n : 0);
        TieScale = arena.Take<float>("tie scale", spec.Tying == Tying.Scaled ? n : 0);
        WSkip = arena.Take<float>("w_skip", spec.Transcoder is { Skip: true } ? spec.OutputWidth * ld : 0);

        Index = arena.Take<int>("code index", B * k);
        Value = arena.Take<float>("code value", B * k);
        PreAct = arena.Take<float>("code pre-activation", spec.IsThresholded ? B * k : 0);
        Level = arena.Take<byte>("code level", spec.Levels > 1 ? B * k : 0);
        RowCount = arena.Take<int>("code entries", spec.IsThresholded ? B : 0);
        ValueGrad = arena.Take<float>("code value gradient", B * k);
        GateGrad = arena.Take<float>("code gate gradient", gated ? B * k : 0);
        Residual = arena.Take<float>("residual e, f32", B * lo);
        ResidualBf16 = arena.Take<ushort>("residuals, bf16", spec.Levels * B * lo);
        Weighted = arena.Take<float>("weighted residuals, f32",
            spec.Nested is null ? 0 : (spec.IsThresholded ? spec.Levels : 1) * B * lo);
        GateResidual = arena.Take<float>("gate residual, f32", gated ? B * lo : 0);
        GateResidualBf16 = arena.Take<ushort>("gate residual, bf16", gated ? B * lo : 0);
        RowError = arena.Take<float>("|e|^2 by row", B);

        Latents = arena.Take<LatentScalars>("latent scalars", spec.IsThresholded || spec.Penalty is not null ? n : 0);
        LatentGrads = arena.Take<EntryGradient>("latent gradients", Latents.Length);
        InputSum = arena.Take<float>("sum of x - b_dec", spec.PreAct is null ? 0 : ld);
        Firings = arena.Take<int>("firings", n);
        LastFired = arena.Take<int>("step of last firing", n);
        Dead = arena.Take<int>("dead latents, compacted", n);
        DeadCount = arena.Take<int>("dead count", 1);
        AuxSlot = arena.Take<int>("latent to dead slot", n);
        long window = spec.DeadWindow, hot = HotWindowOf(spec, config), slots = window + hot;
        AuxRows = arena.Take<int>("dead window", window);
        AuxCount = arena.Take<int>("dead window length", 1);
        AuxEncGrad = arena.Take<float>("dead and hot gradient of w_enc", slots * ld);
        AuxDecGrad = arena.Take<float>("dead and hot gradient of w_dec", slots * lo);
        AuxBiasGrad = arena.Take<float>("dead and hot gradient of b_enc", slots);
        GatherIndex = hot == 0 ? Index : arena.Take<int>("cold code index", B * k);
        GatherValue = hot == 0 ? Value : arena.Take<float>("cold code value", B * k);
        GatherCount = hot == 0 ? RowCount : arena.Take<int>("cold code entries", B);

        Scalars = arena.Take<StepScalars>("step scalars", 1);
        Sums = arena.Take<StepSums>("step sums", 1);
    }

    /// <summary>Returns H, the most latents that are handled as dense columns; 0 for none.</summary>
    public static int HotWindowOf(SaeSpec spec, TrainConfig config) =>
        config.HotDensity > 0 ? (Math.Min(2048, spec.Latents) + 7) & ~7 : 0;

    public int Ld { get; }                                  // elements of a row of x: d rounded up to 64
    public int Lo { get; }                                  // likewise for the output
    public DeviceArray<byte>[] Raw { get; }                 // [2][B, row width] in the input's element type, contiguous
    public DeviceArray<float> X { get; }                    // [B, ld] scaled input
    public DeviceArray<float> Y { get; }                    // [B, lo] scaled target; X unless transcoding
    public DeviceArray<ushort> XCentered { get; }           // [B, ld] bf16 of x − b_dec
    public DeviceArray<ushort> WEncHi { get; }              // [n, ld] bf16, the GEMM's operand
    public DeviceArray<ushort> WDecHi { get; }              // [n, lo]
    public DeviceArray<short> WEncLo { get; }               // [n, ld], empty with bfloat16 storage
    public DeviceArray<short> WDecLo { get; }
    public DeviceArray<float> BEnc { get; }                 // [n]
    public DeviceArray<float> BDec { get; }                 // [lo]
    public DeviceArray<float> Threshold { get; }            // [n] of JumpReLU
    public DeviceArray<float> BMag { get; }                 // [n] of Gated
    public DeviceArray<float> RMag { get; }                 // [n] of Gated
    public DeviceArray<float> TieScale { get; }             // [n]
    public DeviceArray<float> WSkip { get; }                // [D, ld]
    public DeviceArray<int> Index { get; }                  // [B, k] ascending in a row
    public DeviceArray<float> Value { get; }                // [B, k] 0 = did not fire
    public DeviceArray<float> PreAct { get; }               // [B, k] z of thresholded selections
    // [B, k] first nested reconstruction that holds the entry; empty without nesting
    public DeviceArray<byte> Level { get; }
    public DeviceArray<int> RowCount { get; }               // [B] entries of a row; empty if all rows have k
    // [B, k] gathered entries: the code, or the part of it that is not hot (HotPhase)
    public DeviceArray<int> GatherIndex { get; }
    public DeviceArray<float> GatherValue { get; }          // [B, k]
    public DeviceArray<int> GatherCount { get; }            // [B]; empty if all rows have k
    public DeviceArray<float> ValueGrad { get; } // [B, k] gathered entries: ∂L/∂value, then ∂L/∂⟨w, x − b_dec⟩
    public DeviceArray<float> GateGrad { get; }             // [B, k]
    public DeviceArray<float> Residual { get; }             // [B, lo] e = x̂ − y
    public DeviceArray<ushort> ResidualBf16 { get; }        // [levels, B, lo] gathered by backward
    // [B, lo] weighted residual, the gradient of b_dec; [levels, B, lo] if the selection may be dense; empty if it
    // equals e
    public DeviceArray<float> Weighted { get; }
    public DeviceArray<float> GateResidual { get; }         // [B, lo]
    public DeviceArray<ushort> GateResidualBf16 { get; }
    public DeviceArray<float> RowError { get; }             // [B]
    public DeviceArray<LatentScalars> Latents { get; }      // [n]; empty if latents have no scalars
    public DeviceArray<EntryGradient> LatentGrads { get; }  // [n]
    public DeviceArray<float> InputSum { get; }             // [ld] with the pre-activation loss
    public DeviceArray<int> Firings { get; }                // [n] on the dense path, or on request
    public DeviceArray<int> LastFired { get; }              // [n] step, 0 at start
    public DeviceArray<int> Dead { get; }                   // [DeadCount] ascending latents
    public DeviceArray<int> DeadCount { get; }              // [1]
    // [n] position in AuxRows; beyond the window, position among hot latents; −1 for neither
    public DeviceArray<int> AuxSlot { get; }
    public DeviceArray<int> AuxRows { get; }                // [AuxCount] dead latents of this step
    public DeviceArray<int> AuxCount { get; }               // [1]
    // [window + H, ld] gradients by slot; rows beyond the counts are undefined
    public DeviceArray<float> AuxEncGrad { get; }
    public DeviceArray<float> AuxDecGrad { get; }           // [window + H, lo]
    public DeviceArray<float> AuxBiasGrad { get; }          // [window + H]
    public DeviceArray<StepScalars> Scalars { get; }
    public DeviceArray<StepSums> Sums { get; }
}
