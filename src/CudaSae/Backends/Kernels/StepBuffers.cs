using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends.Kernels;

/// <summary>Device memory that more than one phase touches. Pitch ld = d rounded up to 64 elements; padding is zero.
/// Scratch of a single phase is taken in that phase's own file.</summary>
sealed class StepBuffers
{
    public StepBuffers(DeviceArena arena, SaeSpec spec, TrainConfig config, int inputElementBytes)
    {
        long B = config.BatchRows, d = spec.InputWidth, n = spec.Latents, k = spec.Active;
        Pitch = (spec.InputWidth + 63) & ~63;
        long ld = Pitch;
        Raw = [arena.Take<byte>("input slot 0", B * d * inputElementBytes), arena.Take<byte>("input slot 1", B * d * inputElementBytes)];
        X = arena.Take<float>("x", B * ld);
        XCentered = arena.Take<ushort>("x - b_dec, bf16", B * ld);

        WEncHi = arena.Take<ushort>("w_enc, upper half", n * ld);
        WDecHi = arena.Take<ushort>("w_dec, upper half", n * ld);
        var split = config.Storage == WeightStorage.SplitFloat32;
        WEncLo = arena.Take<short>("w_enc, lower half", split ? n * ld : 0);
        WDecLo = arena.Take<short>("w_dec, lower half", split ? n * ld : 0);
        BEnc = arena.Take<float>("b_enc", n);
        BDec = arena.Take<float>("b_dec", ld);

        Index = arena.Take<int>("code index", B * k);
        Value = arena.Take<float>("code value", B * k);
        ValueGrad = arena.Take<float>("code value gradient", B * k);
        Residual = arena.Take<float>("residual e, f32", B * ld);
        ResidualBf16 = arena.Take<ushort>("residual e, bf16", B * ld);
        RowError = arena.Take<float>("|e|^2 by row", B);

        LastFired = arena.Take<int>("step of last firing", n);
        Dead = arena.Take<int>("dead latents, compacted", n);
        DeadCount = arena.Take<int>("dead count", 1);
        AuxSlot = arena.Take<int>("latent to aux slot", n);
        long window = spec.Aux?.Capacity(spec.Latents) ?? 0;
        AuxRows = arena.Take<int>("aux window", window);
        AuxCount = arena.Take<int>("aux window length", 1);
        AuxEncGrad = arena.Take<float>("aux gradient of w_enc", window * ld);
        AuxDecGrad = arena.Take<float>("aux gradient of w_dec", window * ld);
        AuxBiasGrad = arena.Take<float>("aux gradient of b_enc", window);

        Scalars = arena.Take<StepScalars>("step scalars", 1);
        Sums = arena.Take<StepSums>("step sums", 1);
    }

    public int Pitch { get; }                               // ld, elements
    public DeviceArray<byte>[] Raw { get; }                 // [2][B, d] input's own type, dense
    public DeviceArray<float> X { get; }                    // [B, ld] scaled input
    public DeviceArray<ushort> XCentered { get; }           // [B, ld] bf16 of x − b_dec
    public DeviceArray<ushort> WEncHi { get; }              // [n, ld] bf16, the GEMM's operand
    public DeviceArray<ushort> WDecHi { get; }              // [n, ld]
    public DeviceArray<short> WEncLo { get; }               // [n, ld], empty with bfloat16 storage
    public DeviceArray<short> WDecLo { get; }
    public DeviceArray<float> BEnc { get; }                 // [n]
    public DeviceArray<float> BDec { get; }                 // [ld]
    public DeviceArray<int> Index { get; }                  // [B, k] ascending in a row
    public DeviceArray<float> Value { get; }                // [B, k] 0 = did not fire
    public DeviceArray<float> ValueGrad { get; }            // [B, k] ∂L/∂value, 0 where value is 0
    public DeviceArray<float> Residual { get; }             // [B, ld] e = x̂ − x
    public DeviceArray<ushort> ResidualBf16 { get; }        // [B, ld] what the backward gathers
    public DeviceArray<float> RowError { get; }             // [B]
    public DeviceArray<int> LastFired { get; }              // [n] step, 0 at start
    public DeviceArray<int> Dead { get; }                   // [DeadCount] ascending latents
    public DeviceArray<int> DeadCount { get; }              // [1]
    public DeviceArray<int> AuxSlot { get; }                // [n] position in AuxRows, −1 if not there
    public DeviceArray<int> AuxRows { get; }                // [AuxCount] dead latents that this step's AuxK looks at
    public DeviceArray<int> AuxCount { get; }               // [1]
    public DeviceArray<float> AuxEncGrad { get; }           // [window, ld] ∂L_aux/∂WEnc of each slot; rows ≥ AuxCount undefined
    public DeviceArray<float> AuxDecGrad { get; }           // [window, ld]
    public DeviceArray<float> AuxBiasGrad { get; }          // [window]
    public DeviceArray<StepScalars> Scalars { get; }
    public DeviceArray<StepSums> Sums { get; }
}
