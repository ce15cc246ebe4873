using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Data;
using CudaSae.Formats;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae;

/// <summary>A finished SAE, loaded to encode and decode batches on the CPU or a GPU. Weights are held twice: by the backend, and as float32 in host memory.
/// One thread at a time; several instances may run side by side. Dispose frees both copies.</summary>
public sealed class Sae : IDisposable
{
    readonly BackendKind kind;
    readonly TrainConfig config;
    readonly StepScalars scalars;
    readonly (float Scale, float Shift)[] undo;
    SparseRows? own;
    float[] xhat = [];
    IBackend backend = null!;
    SaeStep step = null!;
    SparseCode code = null!;
    string why = "";        // this backend

    /// <param name="model">Owned from here on.</param>
    /// <param name="kind">Where to compute.</param>
    /// <param name="batchRows">Rows that are computed together: larger batches are cut, and a smaller one costs as much as a whole one.</param>
    /// <exception cref="SaeException">The backend is not here, or has too little memory.</exception>
    public Sae(SaeModel model, BackendKind kind = BackendKind.Auto, int batchRows = 256)
    {
        (Model, this.kind, undo) = (model, kind, new (float, float)[batchRows]);
        config = new() { BatchRows = batchRows, Vectors = batchRows, Optimizer = OptimizerKind.Sgd };     // which keeps no moments
        scalars = Schedules.Inference(model.Spec, config, new(1, 1));
        Open(kind, Math.Min(Latents, SaeSpec.MaxActive));
    }

    /// <summary>Loads an SAE of any known format; docs/formats.md lists them.</summary>
    /// <param name="path">A file or a folder.</param>
    /// <exception cref="SaeException">No format knows it, it is damaged, or the backend is not here.</exception>
    public static Sae Load(string path, BackendKind kind = BackendKind.Auto, int batchRows = 256) => new(SaeModel.Load(path), kind, batchRows);

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
    public string Description => kind == BackendKind.Auto ? $"{backend.Description} ({why})" : backend.Description;

    void Open(BackendKind where, int room)
    {
        backend?.Dispose();
        var spec = Spec with { Selection = WithRoom(Spec.Selection, room), Aux = null, Ghost = null, Penalty = null, PreAct = null, Nested = Spec.Nested as Nesting.Budgets };
        backend = BackendFactory.Create(where, spec, config, InputType.Float32, static (_, _) => { }, out why);
        backend.SetParameters(Model.Parameters);
        backend.Dense = false;
        (step, code) = (new(backend), new(config.BatchRows, spec.Active));
    }

    /// <summary>No entries are kept for the sake of gradients, and θ is taken as it is.</summary>
    static Selection WithRoom(Selection selection, int room) => selection switch
    {
        Selection.Relu s => s with { Room = room },
        Selection.JumpRelu s => s with { Room = room, Kernel = SmoothingKernel.Rectangle, Bandwidth = 1e-20f, AdaptiveBandwidth = false, Form = ThresholdForm.Direct },
        Selection.Gated s => s with { Room = room },
        var other => other,
    };

    /// <summary>A row had more active latents than there was room for: four times as much, on the CPU where the kernels have no more.</summary>
    void Widen()
    {
        var room = Math.Min(Latents, Math.Min(4 * code.Active, SaeSpec.MaxRoom));
        if (room == code.Active) throw new SaeException($"a row has more than {room} active latents, which is no sparse code; is this SAE trained on such activations?");
        Open(room > SaeSpec.MaxActive ? BackendKind.Cpu : kind, room);
    }

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
        if (into.Length != (long)rows * OutputWidth) throw new SaeException($"room for {into.Length} numbers; {rows} rows of {OutputWidth} are reconstructed");
        codes ??= own ??= new();
        codes.Clear();
        for (var first = 0; first < rows; first += config.BatchRows) Forward(x, first, codes, into);
    }

    /// <summary>x̂ of codes: b_dec + Σ value · WDec[index]. A transcoder's skip connection needs the input: see <see cref="Reconstruct"/>.</summary>
    /// <param name="into">[rows, d_out].</param>
    public void Decode(SparseRows codes, Span<float> into)
    {
        if (into.Length != (long)codes.Rows * OutputWidth) throw new SaeException($"room for {into.Length} numbers; {codes.Rows} rows of {OutputWidth} are decoded");
        if (Model.Parameters.WSkip.Rows > 0) throw new SaeException("this transcoder has a skip connection, so its output needs the input too: call Reconstruct");
        for (var b = 0; b < codes.Rows; b++)
        {
            var to = into.Slice(b * OutputWidth, OutputWidth);
            Model.Parameters.BDec.CopyTo(to);
            var index = codes.Indices(b);
            var value = codes.Values(b);
            for (var j = 0; j < index.Length; j++)
            {
                if ((uint)index[j] >= (uint)Latents) throw new SaeException($"row {b} names latent {index[j]}; there are {Latents}");
                var row = Model.Parameters.WDec[index[j]];
                for (var i = 0; i < to.Length; i++) to[i] += value[j] * row[i];
            }
            Undo(to, codes.Undo(b));
        }
    }

    /// <summary>Codes of float32 rows in device memory: read after the work that <paramref name="stream"/> holds now and before what it is given later. NaN is not looked for.</summary>
    /// <param name="x">Device pointer of [rows, d] contiguous, in the device's primary context.</param>
    /// <param name="stream">CUstream that produced them; 0 for the default stream.</param>
    /// <exception cref="SaeException">The backend is the CPU, or the SAE normalizes its rows or is a transcoder: these are prepared on the host.</exception>
    public void EncodeOnDevice(ulong x, int rows, nint stream, SparseRows into)
    {
        if (Model.Normalization != InputNormalization.None || Spec.RowWidth != InputWidth) throw new SaeException("this SAE's rows are prepared on the host: copy them there and call Encode");
        into.Clear();
        for (var first = 0; first < rows; first += config.BatchRows)
        {
            var count = Math.Min(config.BatchRows, rows - first);
            Array.Fill(undo, (1, 0), 0, count);
            backend.LendInput(0, x + (ulong)first * (ulong)InputWidth * sizeof(float), count, stream);
            step.Evaluate(0, scalars);
            if (backend.ReadSums().Dense != 0) throw new SaeException($"a row has more than {code.Active} active latents, more than the kernels list: copy the rows to the host and call Encode");
            Collect(count, into);
        }
    }

    int RowsOf(ReadOnlySpan<float> x) => x.Length % InputWidth == 0 ? x.Length / InputWidth : throw new SaeException($"{x.Length} numbers are not whole rows of {InputWidth}");

    /// <summary>One batch through the backend.</summary>
    void Forward(ReadOnlySpan<float> x, int first, SparseRows codes, Span<float> reconstruction)
    {
        var count = Math.Min(config.BatchRows, x.Length / InputWidth - first);
        while (true)
        {
            Fill(x.Slice(first * InputWidth, count * InputWidth), first);
            step.Evaluate(0, scalars);
            if (backend.ReadSums().Dense == 0) break;
            Widen();
        }
        Collect(count, codes);
        if (reconstruction.IsEmpty) return;
        if (xhat.Length == 0) xhat = new float[config.BatchRows * OutputWidth];
        backend.ReadReconstruction(xhat);
        for (var b = 0; b < count; b++)
        {
            var to = reconstruction.Slice((first + b) * OutputWidth, OutputWidth);
            xhat.AsSpan(b * OutputWidth, OutputWidth).CopyTo(to);
            Undo(to, undo[b]);
        }
    }

    void Collect(int count, SparseRows codes)
    {
        backend.ReadCode(code);
        for (var b = 0; b < count; b++)
        {
            codes.BeginRow(undo[b].Scale, undo[b].Shift);
            for (var entry = b * code.Active; entry < (b + 1) * code.Active; entry++)
                if (code.Value[entry] != 0) codes.Add(code.Index[entry], code.Value[entry]);
        }
    }

    /// <summary>Rows into the backend's slot, normalized; a short batch is filled up with its first row.</summary>
    void Fill(ReadOnlySpan<float> x, int first)
    {
        backend.WaitForSlot(0);
        var slot = MemoryMarshal.Cast<byte, float>(backend.InputSlot(0));
        var pitch = Spec.RowWidth;      // behind a transcoder's input lies its target, which nobody has here
        for (var b = 0; b < config.BatchRows; b++)
        {
            var at = b * InputWidth < x.Length ? b : 0;
            var row = x.Slice(at * InputWidth, InputWidth);
            if (at == b && !Finite.All(MemoryMarshal.AsBytes(row), InputType.Float32)) throw new SaeException($"row {first + b} holds NaN or infinity; leave it out", kind: SaeErrorKind.Numbers);
            row.CopyTo(slot[(b * pitch)..]);
            slot.Slice(b * pitch + InputWidth, pitch - InputWidth).Clear();
            undo[b] = RowNormalization.Apply(Model.Normalization, slot.Slice(b * pitch, InputWidth));
        }
    }

    static void Undo(Span<float> row, (float Scale, float Shift) by)
    {
        if (by != (1, 0)) foreach (ref var x in row) x = x * by.Scale + by.Shift;
    }

    public void Dispose()
    {
        backend.Dispose();
        Model.Dispose();
    }
}
