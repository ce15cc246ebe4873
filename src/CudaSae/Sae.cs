using CudaSae.Backends;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae;

/// <summary>A finished SAE, loaded to encode and decode batches on the CPU or a GPU. Weights are stored twice: by the
/// backend, and as float32 in host memory. A row may have any number of active latents: a batch with a row that exceeds
/// the capacity of the backend's lists is computed on the CPU from the host's copy. One thread at a time may use an
/// instance; several instances may run concurrently. Dispose frees both copies.</summary>
public sealed partial class Sae : IDisposable
{
    readonly TrainConfig config;
    readonly StepScalars scalars;
    readonly (float Scale, float Shift)[] undo;
    readonly SaeSpec inference;
    readonly IBackend? backend;         // null if k exceeds the capacity of its lists
    readonly SaeStep? step;
    readonly SparseCode? code;
    SparseRows? own;
    float[] xhat = [], input = [];
    WholeRows? whole;
    bool isLong;                        // whether a row of the last batch exceeded the backend's capacity
    readonly string why = "";           // reason for the choice of Auto

    /// <summary>Loads an SAE into a backend.</summary>
    /// <param name="model">The SAE, which this object owns from now on.</param>
    /// <param name="kind">The backend.</param>
    /// <param name="batchRows">Number of rows that are computed together. Larger batches are divided, and a smaller
    /// batch takes as long as a full one.</param>
    /// <exception cref="SaeException">The backend is not available or has too little memory.</exception>
    public Sae(SaeModel model, BackendKind kind = BackendKind.Auto, int batchRows = 256)
    {
        (Model, undo) = (model, new (float, float)[batchRows]);
        // SGD stores no moments.
        config = new() { BatchRows = batchRows, Vectors = batchRows, Optimizer = OptimizerKind.Sgd };
        scalars = Schedules.Inference(model.Spec, config, new(1, 1));
        inference = AtInference(model.Spec);
        if (inference.Active > SaeSpec.MaxActive) return;
        backend = BackendFactory.Create(kind, inference, config, InputType.Float32, static (_, _) => { },
            out var reason);
        if (kind == BackendKind.Auto) why = $" ({reason})";
        var p = model.Parameters;
        backend.SetParameters(model.Spec.Selection is Selection.BatchTopK ? WithOneThreshold(p) : p);
        backend.Dense = false;
        (step, code) = (new(backend), new(batchRows, inference.Active));
    }

    /// <summary>Loads an SAE of any known format; docs/reference/formats.md lists them.</summary>
    /// <param name="path">A file or a folder.</param>
    /// <param name="kind">The backend.</param>
    /// <param name="batchRows">Number of rows that are computed together.</param>
    /// <param name="readAs">The kind as which it is read if its contents do not determine it
    /// (<see cref="SaeModel.Load"/>).</param>
    /// <exception cref="SaeException">The format is unknown, the files are damaged, or the backend is not
    /// available.</exception>
    public static Sae Load(
        string path, BackendKind kind = BackendKind.Auto, int batchRows = 256, SaeKind? readAs = null) =>
        new(SaeModel.Load(path, readAs), kind, batchRows);

    /// <summary>The loaded SAE.</summary>
    public SaeModel Model { get; }

    /// <summary>The architecture.</summary>
    public SaeSpec Spec => Model.Spec;

    /// <summary>d: width of an input row.</summary>
    public int InputWidth => Spec.InputWidth;

    /// <summary>d_out: width of a reconstructed row.</summary>
    public int OutputWidth => Spec.OutputWidth;

    /// <summary>n: number of latents.</summary>
    public int Latents => Spec.Latents;

    /// <summary>Number of rows that are computed together.</summary>
    public int BatchRows => config.BatchRows;

    /// <summary>One line that describes the backend, and the reason if <see cref="BackendKind.Auto"/> chose
    /// it.</summary>
    public string Description => backend is null ? Whole.Description : $"{backend.Description}{why}";

    WholeRows Whole => whole ??= new(Model.Spec, Model.Parameters);

    /// <summary>Returns the spec of the forward half: without losses, with θ taken directly, and with BatchTopK as the
    /// JumpReLU of its running threshold.</summary>
    static SaeSpec AtInference(SaeSpec spec)
    {
        var room = Math.Min(spec.Latents, SaeSpec.MaxActive);
        return spec with
        {
            Aux = null,
            Ghost = null,
            Penalty = null,
            PreAct = null,
            Nested = spec.Nested as Nesting.Budgets,
            Selection = spec.Selection switch
            {
                Selection.Relu => new Selection.Relu(room),
                Selection.JumpRelu or Selection.BatchTopK => new Selection.JumpRelu(
                    Bandwidth: float.Epsilon, InitialThreshold: 0, Form: ThresholdForm.Direct, Room: room),
                Selection.Gated gated => gated with { Room = room },
                var other => other,
            },
        };
    }

    static SaeParameters WithOneThreshold(SaeParameters p) =>
        new(p, [.. Enumerable.Repeat(MathF.Max(0, p.BatchThreshold), p.BEnc.Length)]);

    /// <summary>Encodes rows of raw activations.</summary>
    /// <param name="x">[rows, d], contiguous; for a transcoder, its inputs.</param>
    /// <param name="into">Receives the codes; it is cleared first.</param>
    /// <exception cref="SaeException">x is not whole rows, or holds NaN or infinity.</exception>
    public void Encode(ReadOnlySpan<float> x, SparseRows into)
    {
        into.Clear();
        for (var first = 0; first < RowsOf(x); first += config.BatchRows) Forward(x, first, into, []);
    }

    /// <summary>Computes x̂ of rows of raw activations.</summary>
    /// <param name="x">[rows, d], contiguous.</param>
    /// <param name="into">[rows, d_out].</param>
    /// <param name="codes">Receives the codes too, if given.</param>
    /// <exception cref="SaeException">x is not whole rows, or holds NaN or infinity, or <paramref name="into"/> has
    /// another size.</exception>
    public void Reconstruct(ReadOnlySpan<float> x, Span<float> into, SparseRows? codes = null)
    {
        var rows = RowsOf(x);
        if (into.Length != (long)rows * OutputWidth)
            throw new SaeException($"the output has {into.Length} numbers; it must have {rows} rows of {OutputWidth}");
        codes ??= own ??= new();
        codes.Clear();
        for (var first = 0; first < rows; first += config.BatchRows) Forward(x, first, codes, into);
    }

    /// <summary>Computes x̂ of codes: b_dec + Σ value · WDec[index]. A transcoder with a skip connection needs the
    /// input; use <see cref="Reconstruct"/> for it.</summary>
    /// <param name="codes">The codes, on the CPU.</param>
    /// <param name="into">[rows, d_out].</param>
    public void Decode(SparseRows codes, Span<float> into)
    {
        if (into.Length != (long)codes.Rows * OutputWidth)
            throw new SaeException($"the output has {into.Length} numbers; it must have {codes.Rows} rows of "
                + $"{OutputWidth}");
        if (Model.Parameters.WSkip.Rows > 0)
            throw new SaeException("this transcoder has a skip connection, so its output needs the input too: call "
                + "Reconstruct");
        for (var b = 0; b < codes.Rows; b++)
        {
            var to = into.Slice(b * OutputWidth, OutputWidth);
            Model.Parameters.BDec.CopyTo(to);
            var index = codes.Indices(b);
            var value = codes.Values(b);
            for (var j = 0; j < index.Length; j++)
            {
                if ((uint)index[j] >= (uint)Latents)
                    throw new SaeException($"row {b} names latent {index[j]}, but the SAE has {Latents}");
                var row = Model.Parameters.WDec[index[j]];
                for (var i = 0; i < to.Length; i++) to[i] += value[j] * row[i];
            }
            Undo(to, codes.Undo(b));
        }
    }

    /// <summary>Encodes float32 rows in device memory. The read is ordered after work that is already queued on
    /// <paramref name="stream"/>, and work that is queued later waits for it. Rows are not checked for NaN.</summary>
    /// <param name="x">Device pointer of [rows, d], contiguous, in the device's primary context.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="stream">The CUstream that produced them; 0 for the default stream.</param>
    /// <param name="into">Receives the codes; it is cleared first.</param>
    /// <exception cref="SaeException">The backend is the CPU, the SAE normalizes its rows or is a transcoder, or its k
    /// is above 512. Encode such rows from host memory.</exception>
    public void EncodeOnDevice(ulong x, int rows, nint stream, SparseRows into)
    {
        if (Model.Normalization != InputNormalization.None || Spec.RowWidth != InputWidth)
            throw new SaeException("this SAE's rows are prepared on the host: copy them there and call Encode");
        if (backend is null)
            throw new SaeException($"{Describe.Selection(Spec)} keeps more than {SaeSpec.MaxActive} latents of a row, "
                + "which exceeds the limit of the kernels: copy the rows to the host and call Encode");
        into.Clear();
        for (var first = 0; first < rows; first += config.BatchRows)
        {
            var count = Math.Min(config.BatchRows, rows - first);
            Array.Fill(undo, (1, 0), 0, count);
            backend.LendInput(0, x + (ulong)first * (ulong)InputWidth * sizeof(float), count, stream);
            step!.Evaluate(0, scalars);
            if (backend.ReadSums().Dense == 0)
            {
                Collect(count, into);
                continue;
            }
            backend.ReadTarget(Buffer(ref input, InputWidth));      // the rows themselves
            EncodeWhole(input.AsSpan(0, count * InputWidth), into, []);
        }
    }

    /// <summary>Frees the backend and the weights.</summary>
    public void Dispose()
    {
        backend?.Dispose();
        whole?.Dispose();
        Model.Dispose();
    }
}
