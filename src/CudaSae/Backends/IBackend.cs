using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends;

/// <summary>The mathematics seam: the phases of one training step. A backend owns the weights, the optimizer's state
/// and
/// all scratch, allocated once; no phase allocates. Phases are called in the order of <c>SaeStep</c> and may run
/// asynchronously until <see cref="ReadSums"/> or another read. Pre-activations [B, n] never cross this seam, nor do
/// gradients: only the sparse code leaves the encoder. One thread at a time.</summary>
interface IBackend : IInputSlots, IDisposable
{
    /// <summary>One line for people: target, device, instruction set or compute capability.</summary>
    string Description { get; }

    /// <summary>Cpu, Emulator, or Cuda for kernels on a GPU, whatever launches them.</summary>
    BackendKind Kind { get; }

    /// <summary>Names the arrays and layouts of <see cref="State"/> in a checkpoint, which only a backend of the same
    /// format restores.</summary>
    string StateFormat { get; }

    /// <summary>Whether the state lies in host memory, so that <see cref="Plan"/> counts host memory.</summary>
    bool StateIsOnHost => false;

    SaeSpec Spec { get; }
    TrainConfig Config { get; }

    /// <summary>What is allocated, by name.</summary>
    MemoryPlan Plan { get; }

    /// <summary>Sets the weights; clears moments, counters and averages.</summary>
    void SetParameters(SaeParameters parameters);

    /// <summary>Copies the weights out; waits for the step in progress.</summary>
    void GetParameters(SaeParameters into);

    /// <summary>Copies the moving average of the weights out. Refused when <see cref="TrainConfig.EmaDecay"/> is
    /// 0.</summary>
    void GetAverage(SaeParameters into);

    /// <summary>Everything that a resumed run needs besides configuration, in a fixed order.</summary>
    IReadOnlyList<StateArray> State { get; }

    /// <summary>Copies bytes [offset, offset + length) of a state array out.</summary>
    void ReadState(StateArray array, long offset, Span<byte> into);

    /// <summary>Copies bytes into a state array.</summary>
    void WriteState(StateArray array, long offset, ReadOnlySpan<byte> from);

    /// <summary>After the last <see cref="WriteState"/>: rebuilds what is derived from the state, such as the list of
    /// dead latents.</summary>
    /// <param name="step">The last step that was finished.</param>
    void AfterRestore(uint step, uint deadAfterSteps);

    // Of IInputSlots: a slot holds one batch of raw input, [B, d] contiguous in the input's own type.

    /// <summary>Rows of the data on the device; null where batches come through the input slots alone.</summary>
    IRowPool? Pool => null;

    /// <summary>The next step on <paramref name="slot"/> reads its first <paramref name="count"/> rows, in the input's
    /// own type, from device memory instead of the input slot. The read is ordered after the work that
    /// <paramref name="stream"/> holds now and before work that is queued on it later, so the owner of the memory may
    /// use it again on that stream without waiting.</summary>
    /// <exception cref="SaeException">The backend has no device memory.</exception>
    void LendInput(int slot, ulong rows, int count, nint stream) => throw NoDeviceMemory();

    /// <summary>Copies rows from device memory to the host; waits for the work of <paramref name="stream"/>.</summary>
    /// <exception cref="SaeException">The backend has no device memory.</exception>
    void ReadLent(ulong rows, nint stream, Span<byte> into) => throw NoDeviceMemory();

    private SaeException NoDeviceMemory() =>
        new($"rows in device memory need the cuda backend; this one is {Description}");

    /// <summary>Whether a phase is over when its method returns, so that a clock beside the calls tells how long it
    /// took. Elsewhere phases are queued, or replayed as one.</summary>
    bool IsSynchronous => false;

    /// <summary>Starts a step on a slot: takes the scalars, and lets the input come.</summary>
    void BeginStep(int slot, in StepScalars scalars);

    /// <summary>prepare: x = <see cref="StepScalars.InputScale"/> · input, and x − b_dec; after it the slot has been
    /// read.</summary>
    void Prepare();

    /// <summary>encode: code = select((x − b_dec) WEncᵀ + b_enc).</summary>
    void EncodeSelect();

    /// <summary>decode: x̂ = Σ value · WDec[index] + b_dec, e = x̂ − x, ‖e‖², and ∂L/∂value, from one gather of
    /// WDec.</summary>
    void DecodeLoss();

    /// <summary>aux: dead latents predict the residual, by AuxK or as ghosts; leaves their gradients for
    /// <see cref="Optimize"/>. Nothing without Spec.Aux and Spec.Ghost.</summary>
    void AuxLoss();

    /// <summary>backward: turns the code round, rows to latents; measures the gradient norm where clipping asks for
    /// it.</summary>
    void Backward();

    /// <summary>optimize: per latent, gradients of both rows and the bias, projection, clip, Adam, renormalisation, and
    /// b_dec's step.</summary>
    void Optimize();

    /// <summary>latents: who fired, who is dead.</summary>
    void TrackLatents();

    /// <summary>Ends a step: its sums are on their way to <see cref="ReadSums"/>.</summary>
    void EndStep();

    /// <summary>Waits for the last ended step and returns its sums.</summary>
    StepSums ReadSums();

    /// <summary>The sums of the step before the last one, without waiting for the last: a loop that reads these keeps
    /// the device busy.</summary>
    StepSums ReadEarlierSums();

    /// <summary>Copies out the code of the last step; waits for it.</summary>
    void ReadCode(SparseCode into);

    /// <summary>Copies out x̂ of the last step, [B, output width] float32 in the scaled target's units; waits for
    /// it.</summary>
    void ReadReconstruction(Span<float> into);

    /// <summary>Copies out the target y of the last step, [B, output width] float32, scaled; waits for it.</summary>
    void ReadTarget(Span<float> into);

    /// <summary>Copies out ‖x̂ − y‖² of the last step's rows, [B]; waits for it.</summary>
    void ReadRowErrors(Span<float> into);

    /// <summary>Copies out on how many rows of the last step each latent fired, [n]; waits for it.</summary>
    void ReadFirings(Span<int> into);

    /// <summary>Whether thresholded selections (ReLU, JumpReLU, Gated) take the dense training path: all latents as
    /// matrix products, for codes that are not sparse. Other selections have no such path. Setting it takes effect
    /// with the next step; the gradients are the same.</summary>
    bool Dense { get; set; }

    /// <summary>Share of active latents at which the two paths cost the same here.</summary>
    double DenseCrossover { get; }

    /// <summary>Gives latents new weights and empty moments, as if they had fired in <paramref name="step"/>, the last
    /// one finished.</summary>
    /// <param name="rows">Their weights, row i for latent which[i].</param>
    void ResetLatents(ReadOnlySpan<int> which, SaeParameters rows, uint step);

    /// <summary>The dense check: compares the last encode and decode with all pre-activations, computed by a dense
    /// matrix product, and returns the largest relative differences. It changes no weights. It is not the dense
    /// training path (<see cref="Dense"/>).</summary>
    DenseCheck CheckAgainstDense();

    /// <summary>Records the phases between here and <see cref="EndCapture"/>, for steps on the path that
    /// <see cref="Dense"/> says; false where a backend cannot or has done so.</summary>
    bool BeginCapture();
    void EndCapture();

    /// <summary>A step as it was recorded, on a new slot with new scalars; false, and nothing done, where this step has
    /// no recording.</summary>
    /// <param name="rest">The phases after encoding. A backend calls it when the recorded sparse path had no room for
    /// the code, so that the step ends on the dense path.</param>
    bool Replay(int slot, in StepScalars scalars, Action rest);
}

/// <summary>A named piece of a backend's state.</summary>
/// <param name="Name">Stable name, such as <c>w_enc</c> or <c>adam_v_dec</c>.</param>
/// <param name="Type">Element type in safetensors' words: F32, BF16, I16, I32, I64, U8.</param>
/// <param name="Shape">Row-major shape, padding included.</param>
sealed record StateArray(string Name, string Type, long[] Shape)
{
    public long Bytes
    {
        get
        {
            long elements = 1;
            foreach (var extent in Shape) elements *= extent;
            return elements * Type switch
            {
                "F32" or "I32" => 4,
                "BF16" or "I16" => 2,
                "I64" => 8,
                "U8" => 1,
                _ => throw new NotSupportedException(Type)
            };
        }
    }
}

/// <summary>The result of the dense check: the difference between the sparse path and dense products on one
/// batch.</summary>
/// <param name="WorstValue">Largest |value − dense value| over the code, relative to the row's largest
/// pre-activation.</param>
/// <param name="WorstSelection">Largest amount by which a left-out pre-activation exceeds a kept one, relative
/// alike.</param>
/// <param name="WorstReconstruction">Largest ‖x̂ − dense x̂‖ / ‖x̂‖ over the rows.</param>
/// <param name="Tolerance">What rounding explains, from the operands' type and d.</param>
readonly record struct DenseCheck(double WorstValue, double WorstSelection, double WorstReconstruction,
    double Tolerance)
{
    /// <exception cref="SaeException">The check knows plain TopK only.</exception>
    internal static void RequirePlainTopK(SaeSpec spec)
    {
        if (spec.Selection is not Selection.TopK { InitialK: 0 } || spec.Nested is not null
            || spec.Transcoder is not null)
            throw new SaeException("--validate-every holds plain TopK against the dense check, not "
                + $"{spec.Selection.GetType().Name} with these options; leave it at 0 (cudasae verify checks all)");
    }

    public bool Passed => WorstValue <= Tolerance && WorstSelection <= Tolerance && WorstReconstruction <= Tolerance;
}
