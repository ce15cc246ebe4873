using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;

namespace CudaSae;

/// <summary>A finished SAE, loaded to encode and decode batches on the CPU or a GPU. Weights are held twice: by the
/// backend, and as float32 in host memory.
/// A row may have any number of active latents: a batch with a longer row than the backend's lists hold is computed on
/// the CPU from the host's copy.
/// One thread at a time; several instances may run side by side. Dispose frees both copies.</summary>
public sealed class Sae : IDisposable
{
    readonly TrainConfig config;
    readonly StepScalars scalars;
    readonly (float Scale, float Shift)[] undo;
    readonly SaeSpec inference;
    readonly IBackend? backend;         // null where a row's k is more than its lists hold
    readonly SaeStep? step;
    readonly SparseCode? code;
    SparseRows? own;
    float[] xhat = [], input = [];
    WholeRows? whole;
    bool isLong;                        // whether the last batch had a row that the backend does not hold
    readonly string why = "";           // of the backend that auto took

    /// <param name="model">Owned from here on.</param>
    /// <param name="kind">Where to compute.</param>
    /// <param name="batchRows">Rows that are computed together: larger batches are cut, and a smaller one costs as much
    /// as a whole one.</param>
    /// <exception cref="SaeException">The backend is not here, or has too little memory.</exception>
    public Sae(SaeModel model, BackendKind kind = BackendKind.Auto, int batchRows = 256)
    {
        (Model, undo) = (model, new (float, float)[batchRows]);
        // which keeps no moments
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
    /// <param name="readAs">As <see cref="SaeModel.Load"/> takes it.</param>
    /// <exception cref="SaeException">No format knows it, it is damaged, or the backend is not here.</exception>
    public static Sae Load(
        string path, BackendKind kind = BackendKind.Auto, int batchRows = 256, SaeKind? readAs = null) =>
        new(SaeModel.Load(path, readAs), kind, batchRows);

    public SaeModel Model { get; }
    public SaeSpec Spec => Model.Spec;

    /// <summary>d: numbers of an input row.</summary>
    public int InputWidth => Spec.InputWidth;

    /// <summary>d_out: numbers of a reconstructed row.</summary>
    public int OutputWidth => Spec.OutputWidth;

    /// <summary>n.</summary>
    public int Latents => Spec.Latents;

    /// <summary>Rows that are computed together.</summary>
    public int BatchRows => config.BatchRows;

    /// <summary>One line for people: where it computes, and of <see cref="BackendKind.Auto"/> why there.</summary>
    public string Description => backend is null ? Whole.Description : $"{backend.Description}{why}";

    WholeRows Whole => whole ??= new(Model.Spec, Model.Parameters);

    /// <summary>The forward half alone: nothing is kept for gradients, θ is taken as it is, and BatchTopK is the
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

    /// <summary>Codes of rows of raw activations.</summary>
    /// <param name="x">[rows, d] contiguous; of a transcoder its inputs.</param>
    /// <param name="into">Cleared first.</param>
    /// <exception cref="SaeException">x is not whole rows, or holds NaN or infinity.</exception>
    public void Encode(ReadOnlySpan<float> x, SparseRows into)
    {
        into.Clear();
        for (var first = 0; first < RowsOf(x); first += config.BatchRows) Forward(x, first, into, []);
    }

    /// <summary>x̂ of rows of raw activations.</summary>
    /// <param name="x">[rows, d].</param>
    /// <param name="into">[rows, d_out].</param>
    /// <param name="codes">Takes the codes too, when given.</param>
    /// <exception cref="SaeException">As <see cref="Encode"/>.</exception>
    public void Reconstruct(ReadOnlySpan<float> x, Span<float> into, SparseRows? codes = null)
    {
        var rows = RowsOf(x);
        if (into.Length != (long)rows * OutputWidth)
            throw new SaeException($"room for {into.Length} numbers; {rows} rows of {OutputWidth} are reconstructed");
        codes ??= own ??= new();
        codes.Clear();
        for (var first = 0; first < rows; first += config.BatchRows) Forward(x, first, codes, into);
    }

    /// <summary>x̂ of codes: b_dec + Σ value · WDec[index]. A transcoder's skip connection needs the input: see
    /// <see cref="Reconstruct"/>.</summary>
    /// <param name="into">[rows, d_out].</param>
    public void Decode(SparseRows codes, Span<float> into)
    {
        if (into.Length != (long)codes.Rows * OutputWidth)
            throw new SaeException($"room for {into.Length} numbers; {codes.Rows} rows of {OutputWidth} are decoded");
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
                    throw new SaeException($"row {b} names latent {index[j]}; there are {Latents}");
                var row = Model.Parameters.WDec[index[j]];
                for (var i = 0; i < to.Length; i++) to[i] += value[j] * row[i];
            }
            Undo(to, codes.Undo(b));
        }
    }

    /// <summary>Codes of float32 rows in device memory: read after the work that <paramref name="stream"/> holds now
    /// and before what it is given later. NaN is not looked for.</summary>
    /// <param name="x">Device pointer of [rows, d] contiguous, in the device's primary context.</param>
    /// <param name="stream">CUstream that produced them; 0 for the default stream.</param>
    /// <exception cref="SaeException">The backend is the CPU, the SAE normalizes its rows or is a transcoder, or its k
    /// is above 512: encode these rows from host memory.</exception>
    public void EncodeOnDevice(ulong x, int rows, nint stream, SparseRows into)
    {
        if (Model.Normalization != InputNormalization.None || Spec.RowWidth != InputWidth)
            throw new SaeException("this SAE's rows are prepared on the host: copy them there and call Encode");
        if (backend is null)
            throw new SaeException($"{Describe.Selection(Spec)} keeps more than {SaeSpec.MaxActive} latents of a row, "
                + "which no kernel does: copy the rows to the host and call Encode");
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

    int RowsOf(ReadOnlySpan<float> x) =>
        x.Length % InputWidth == 0 ? x.Length / InputWidth
            : throw new SaeException($"{x.Length} numbers are not whole rows of {InputWidth}");

    /// <summary>One batch: through the backend, unless it has a row that is longer than the backend holds.</summary>
    void Forward(ReadOnlySpan<float> x, int first, SparseRows codes, Span<float> reconstruction)
    {
        var count = Math.Min(config.BatchRows, x.Length / InputWidth - first);
        x = x.Slice(first * InputWidth, count * InputWidth);
        if (!reconstruction.IsEmpty) reconstruction = reconstruction.Slice(first * OutputWidth, count * OutputWidth);
        if (!isLong && backend is not null)
        {
            Fill(x, first);
            step!.Evaluate(0, scalars);
            if (backend.ReadSums().Dense == 0)
            {
                Collect(count, codes);
                if (!reconstruction.IsEmpty) CollectReconstruction(reconstruction);
                return;
            }
        }
        var prepared = Buffer(ref input, InputWidth);
        for (var b = 0; b < count; b++)
            Prepare(x.Slice(b * InputWidth, InputWidth), prepared.Slice(b * InputWidth, InputWidth), b, first);
        EncodeWhole(prepared[..x.Length], codes, reconstruction);
    }

    /// <summary>Prepared rows of a batch with all their latents, however many are active.</summary>
    void EncodeWhole(ReadOnlySpan<float> x, SparseRows codes, Span<float> reconstruction)
    {
        var rows = x.Length / InputWidth;
        isLong = false;
        for (var from = 0; from < rows; from += Whole.Rows)
        {
            var count = Math.Min(Whole.Rows, rows - from);
            var part = x.Slice(from * InputWidth, count * InputWidth);
            Whole.Encode(part);
            for (var b = 0; b < count; b++) isLong |= Whole.AddTo(codes, b, undo[from + b]) > SaeSpec.MaxActive;
            if (reconstruction.IsEmpty) continue;
            var to = reconstruction.Slice(from * OutputWidth, count * OutputWidth);
            Whole.Decode(part, to);
            for (var b = 0; b < count; b++) Undo(to.Slice(b * OutputWidth, OutputWidth), undo[from + b]);
        }
    }

    void Collect(int count, SparseRows codes)
    {
        backend!.ReadCode(code!);
        for (var b = 0; b < count; b++)
        {
            codes.BeginRow(undo[b].Scale, undo[b].Shift);
            for (var entry = b * code!.Active; entry < (b + 1) * code.Active; entry++)
                if (code.Value[entry] != 0) codes.Add(code.Index[entry], code.Value[entry]);
        }
    }

    /// <param name="into">[rows of the batch, d_out].</param>
    void CollectReconstruction(Span<float> into)
    {
        backend!.ReadReconstruction(Buffer(ref xhat, OutputWidth));
        xhat.AsSpan(0, into.Length).CopyTo(into);
        for (var b = 0; b < into.Length / OutputWidth; b++) Undo(into.Slice(b * OutputWidth, OutputWidth), undo[b]);
    }

    /// <summary>Rows into the backend's slot, normalized; a short batch is filled up with its first row.</summary>
    void Fill(ReadOnlySpan<float> x, int first)
    {
        backend!.WaitForSlot(0);
        var slot = MemoryMarshal.Cast<byte, float>(backend.InputSlot(0));
        var pitch = Spec.RowWidth;      // behind a transcoder's input lies its target, which is not known here
        for (var b = 0; b < config.BatchRows; b++)
        {
            var at = b * InputWidth < x.Length ? b : 0;
            Prepare(x.Slice(at * InputWidth, InputWidth), slot.Slice(b * pitch, InputWidth), b, first);
            slot.Slice(b * pitch + InputWidth, pitch - InputWidth).Clear();
        }
    }

    /// <summary>Row <paramref name="b"/> of the batch that begins with row <paramref name="first"/>.</summary>
    void Prepare(ReadOnlySpan<float> row, Span<float> into, int b, int first)
    {
        if (!Finite.All(MemoryMarshal.AsBytes(row), InputType.Float32))
            throw new SaeException($"row {first + b} holds NaN or infinity; leave it out", kind: SaeErrorKind.Numbers);
        row.CopyTo(into);
        undo[b] = RowNormalization.Apply(Model.Normalization, into);
    }

    Span<float> Buffer(ref float[] held, int width) =>
        held.Length > 0 ? held : held = new float[config.BatchRows * width];

    static void Undo(Span<float> row, (float Scale, float Shift) by)
    {
        if (by != (1, 0)) foreach (ref var x in row) x = x * by.Scale + by.Shift;
    }

    public void Dispose()
    {
        backend?.Dispose();
        whole?.Dispose();
        Model.Dispose();
    }
}
