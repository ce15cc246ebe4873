using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends;

/// <summary>The phases of one training step. A backend owns the weights, the optimizer's state and all scratch memory,
/// which are allocated once; no phase allocates. Phases are called in the order of <c>SaeStep</c> and may run
/// asynchronously until <see cref="ReadSums"/> or another read. The interface exposes neither pre-activations [B, n]
/// nor gradients: only the sparse code leaves the encoder. One thread at a time may use a backend.</summary>
interface IBackend : IInputSlots, IDisposable
{
    /// <summary>One line of description: target, device, instruction set or compute capability.</summary>
    string Description { get; }

    /// <summary>Cpu, Emulator, or Cuda for kernels on a GPU with any launcher.</summary>
    BackendKind Kind { get; }

    /// <summary>Name of the arrays and layouts of <see cref="State"/> in a checkpoint. Only a backend of the same
    /// format can restore it.</summary>
    string StateFormat { get; }

    /// <summary>Whether the state is in host memory, so that <see cref="Plan"/> counts host memory.</summary>
    bool StateIsOnHost => false;

    /// <summary>The spec of the whole SAE, also on a rank that holds a part of the latents.</summary>
    SaeSpec Spec { get; }
    TrainConfig Config { get; }

    /// <summary>The share of this rank in a run on several ranks; null for a backend that holds all latents. With a
    /// share, <see cref="State"/> and the weights of <see cref="SetParameters"/>, <see cref="GetParameters"/> and
    /// <see cref="GetAverage"/> are those of the rank's own latents. The phases, <see cref="ReadCode"/>,
    /// <see cref="ReadFirings"/> and <see cref="ResetLatents"/> concern all latents, and every rank calls them at the
    /// same point. <see cref="ReadSums"/> returns the same sums on every rank.</summary>
    ShardPlan? Shard => null;

    /// <summary>The allocated memory, by name.</summary>
    MemoryPlan Plan { get; }

    /// <summary>Sets the weights; clears moments, counters and averages.</summary>
    void SetParameters(SaeParameters parameters);

    /// <summary>Copies the weights out; waits for the step in progress.</summary>
    void GetParameters(SaeParameters into);

    /// <summary>Copies the moving average of the weights out. It is refused if <see cref="TrainConfig.EmaDecay"/> is
    /// 0.</summary>
    void GetAverage(SaeParameters into);

    /// <summary>The arrays that a resumed run needs besides the configuration, in a fixed order.</summary>
    IReadOnlyList<StateArray> State { get; }

    /// <summary>Copies bytes [offset, offset + length) of a state array out.</summary>
    void ReadState(StateArray array, long offset, Span<byte> into);

    /// <summary>Copies bytes into a state array.</summary>
    void WriteState(StateArray array, long offset, ReadOnlySpan<byte> from);

    /// <summary>Rebuilds the data that is derived from the state, such as the list of dead latents. Call it after the
    /// last <see cref="WriteState"/>.</summary>
    /// <param name="step">The last completed step.</param>
    /// <param name="deadAfterSteps">Steps without firing after which a latent is dead.</param>
    void AfterRestore(uint step, uint deadAfterSteps);

    // An input slot (IInputSlots) holds one batch of raw input, [B, d], contiguous, in the input's element type.

    /// <summary>Rows of the data on the device; null if all batches come through the input slots.</summary>
    IRowPool? Pool => null;

    /// <summary>Makes the next step on <paramref name="slot"/> read its first <paramref name="count"/> rows, in the
    /// input's element type, from device memory instead of the input slot. The read is ordered after work that is
    /// already queued on <paramref name="stream"/>, and work that is queued later waits for the read. The owner of the
    /// memory may therefore use it again on that stream without waiting.</summary>
    /// <exception cref="SaeException">The backend has no device memory.</exception>
    void LendInput(int slot, ulong rows, int count, nint stream) => throw NoDeviceMemory();

    /// <summary>Copies rows from device memory to the host; waits for the work of <paramref name="stream"/>.</summary>
    /// <exception cref="SaeException">The backend has no device memory.</exception>
    void ReadLent(ulong rows, nint stream, Span<byte> into) => throw NoDeviceMemory();

    private SaeException NoDeviceMemory() =>
        new($"rows in device memory need the cuda backend; this one is {Description}");

    /// <summary>Whether a phase is complete when its method returns, so that a clock around the calls measures its
    /// time. Otherwise phases are queued, or replayed together.</summary>
    bool IsSynchronous => false;

    /// <summary>Starts a step on a slot: takes the scalars and starts the transfer of the input.</summary>
    void BeginStep(int slot, in StepScalars scalars);

    /// <summary>Runs the phase prepare: x = <see cref="StepScalars.InputScale"/> · input, and x − b_dec. Afterwards the
    /// slot has been read.</summary>
    void Prepare();

    /// <summary>Runs the phase encode: code = select((x − b_dec) WEncᵀ + b_enc).</summary>
    void EncodeSelect();

    /// <summary>Runs the phase decode: x̂ = Σ value · WDec[index] + b_dec, e = x̂ − x, ‖e‖² and ∂L/∂value, from one
    /// gather of WDec.</summary>
    void DecodeLoss();

    /// <summary>Runs the phase aux: dead latents predict the residual, by AuxK or as ghosts, and their gradients are
    /// stored for <see cref="Optimize"/>. Without Spec.Aux and Spec.Ghost it does nothing.</summary>
    void AuxLoss();

    /// <summary>Runs the phase backward: transposes the code from rows to latents, and measures the gradient norm if
    /// clipping needs it.</summary>
    void Backward();

    /// <summary>Runs the phase optimize: for each latent the gradients of both rows and the bias, projection, clipping,
    /// Adam and renormalization, and the step of b_dec.</summary>
    void Optimize();

    /// <summary>Runs the phase latents: records which latents fired and which are dead.</summary>
    void TrackLatents();

    /// <summary>Ends a step and starts the transfer of its sums to <see cref="ReadSums"/>.</summary>
    void EndStep();

    /// <summary>Waits for the last ended step and returns its sums.</summary>
    StepSums ReadSums();

    /// <summary>Returns the sums of the step before the last one without waiting for the last, so that a loop keeps the
    /// device busy.</summary>
    StepSums ReadEarlierSums();

    /// <summary>Copies out the code of the last step; waits for the step.</summary>
    void ReadCode(SparseCode into);

    /// <summary>Copies out x̂ of the last step, [B, output width] float32 in units of the scaled target; waits for the
    /// step.</summary>
    void ReadReconstruction(Span<float> into);

    /// <summary>Copies out the scaled target y of the last step, [B, output width] float32; waits for the
    /// step.</summary>
    void ReadTarget(Span<float> into);

    /// <summary>Copies out ‖x̂ − y‖² of the last step's rows, [B]; waits for the step.</summary>
    void ReadRowErrors(Span<float> into);

    /// <summary>Copies out the number of rows of the last step on which each latent fired, [n]; waits for the
    /// step.</summary>
    void ReadFirings(Span<int> into);

    /// <summary>Whether thresholded selections (ReLU, JumpReLU, Gated) take the dense training path, which computes all
    /// latents as matrix products and suits codes that are not sparse. Other selections do not have this path. A change
    /// takes effect with the next step; the gradients are the same.</summary>
    bool Dense { get; set; }

    /// <summary>Share of active latents at which both paths take the same time on this backend.</summary>
    double DenseCrossover { get; }

    /// <summary>Gives latents new weights and empty moments, and records <paramref name="step"/>, the last completed
    /// step, as the step in which they last fired.</summary>
    /// <param name="rows">The new weights; row i belongs to latent which[i].</param>
    void ResetLatents(ReadOnlySpan<int> which, SaeParameters rows, uint step);

    /// <summary>The dense check: compares the last encode and decode with all pre-activations, computed by a dense
    /// matrix product, and returns the largest relative differences. It changes no weights. It is not the dense
    /// training path (<see cref="Dense"/>).</summary>
    DenseCheck CheckAgainstDense();

    /// <summary>Starts to record the phases up to <see cref="EndCapture"/>, for steps on the path that
    /// <see cref="Dense"/> selects. Returns false if the backend cannot record, or already has.</summary>
    bool BeginCapture();
    void EndCapture();

    /// <summary>Replays the recorded step on a new slot with new scalars. Returns false, without any effect, if there
    /// is no recording for this step.</summary>
    /// <param name="rest">The phases after encoding. A backend calls it if the code exceeded the capacity of the
    /// recorded sparse path, so that the step ends on the dense path.</param>
    bool Replay(int slot, in StepScalars scalars, Action rest);
}

/// <summary>A named array of a backend's state.</summary>
/// <param name="Name">Stable name, such as <c>w_enc</c> or <c>adam_v_dec</c>.</param>
/// <param name="Type">Element type, by its safetensors name: F32, BF16, I16, I32, I64, U8.</param>
/// <param name="Shape">Row-major shape, including padding.</param>
sealed record StateArray(string Name, string Type, long[] Shape)
{
    /// <summary>Whether the first extent counts latents. A rank then holds the rows of its own latents; all ranks hold
    /// equal copies of other arrays.</summary>
    public bool ByLatent { get; init; }

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
/// <param name="WorstSelection">Largest amount by which a discarded pre-activation exceeds a kept one, relative to the
/// row's largest pre-activation.</param>
/// <param name="WorstReconstruction">Largest ‖x̂ − dense x̂‖ / ‖x̂‖ over the rows.</param>
/// <param name="Tolerance">The difference that rounding explains, from the operands' type and d.</param>
readonly record struct DenseCheck(double WorstValue, double WorstSelection, double WorstReconstruction,
    double Tolerance)
{
    /// <summary>Refuses specs that the dense check does not support.</summary>
    /// <exception cref="SaeException">The spec is not plain TopK.</exception>
    internal static void RequirePlainTopK(SaeSpec spec)
    {
        if (spec.Selection is not Selection.TopK { InitialK: 0 } || spec.Nested is not null
            || spec.Transcoder is not null)
            throw new SaeException("the dense check compares plain TopK only, not "
                + $"{spec.Selection.GetType().Name} with these settings; leave ValidateEvery = 0 "
                + "(cudasae verify checks all methods)");
    }

    public bool Passed => WorstValue <= Tolerance && WorstSelection <= Tolerance && WorstReconstruction <= Tolerance;
}
