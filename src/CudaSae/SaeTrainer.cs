using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Formats;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;
using CudaSae.Training.Checkpoints;

namespace CudaSae;

/// <summary>Trains an SAE step by step from its caller's memory, on the host or on the GPU: for a caller that has its
/// own loop. The same phases, schedules and bits as
/// <c>cudasae train</c> on the same rows. One thread at a time. A step allocates nothing on the managed heap. Dispose
/// frees all.</summary>
public sealed class SaeTrainer : IDisposable
{
    readonly IBackend backend;
    readonly InputType type;
    StepDriver? driver;
    DataScale scale;
    int slot;

    /// <param name="config">BatchRows is the size of every step; Vectors, over BatchRows, the steps that schedules are
    /// stretched over.</param>
    /// <param name="type">Element type of the rows that steps are given.</param>
    /// <exception cref="SaeException">A field is out of range, the backend is not here, or memory does not
    /// suffice.</exception>
    public SaeTrainer(SaeSpec spec, TrainConfig config, BackendKind kind = BackendKind.Auto,
        InputType type = InputType.Float32)
    {
        if (config.Resampling is not null)
            throw new SaeException("resampling reads the data again, which only cudasae train can: use Aux or Ghost, "
                + "or set Resampling to null");
        if (config.NonFinite == NonFiniteRows.Skip)
            throw new SaeException("NonFinite = Skip leaves rows out of the data that a run reads; a batch of the "
                + "caller has a fixed size: set NonFinite to Replace or Stop");
        (Spec, Config, this.type) = (spec, config, type);
        backend = BackendFactory.Create(kind, spec, config, type, static (_, _) => { }, out var why);
        Description = kind == BackendKind.Auto ? $"{backend.Description} ({why})" : backend.Description;
    }

    public SaeSpec Spec { get; }
    public TrainConfig Config { get; }

    /// <summary>One line for people: where it computes, and of <see cref="BackendKind.Auto"/> why there.</summary>
    public string Description { get; }

    /// <summary>Memory by name.</summary>
    public MemoryPlan Memory => backend.Plan;

    /// <summary>Steps done.</summary>
    public long Steps => driver?.Step ?? 0;

    /// <summary>Rows that held NaN or infinity and were replaced so far (NonFinite = Replace).</summary>
    public long ReplacedRows { get; private set; }

    int RowBytes => Spec.RowWidth * type.Bytes();
    int BatchBytes => checked(Config.BatchRows * RowBytes);

    /// <summary>Draws the starting weights and measures scale and variance on a sample: the more rows the better, at
    /// most 32,768 are looked at.
    /// Without this call the first step's batch is the sample.</summary>
    /// <param name="rows">[any, d] in the trainer's element type; behind a transcoder's input its target.</param>
    public void Start(ReadOnlySpan<byte> rows)
    {
        using var source = ActivationSource.Of(rows.ToArray(), Spec.RowWidth, type);
        var start = new TrainingStart(source, source.Rows, Spec, Config);
        using var weights = start.Weights(Spec, Config);
        Begin(weights, start.Scale);
    }

    /// <summary>As the other, of float32.</summary>
    public void Start(ReadOnlySpan<float> rows) => Start(MemoryMarshal.AsBytes(RequireType(rows)));

    void Begin(SaeParameters weights, DataScale from)
    {
        scale = from;
        backend.SetParameters(weights);
        driver = new(backend, scale);
    }

    /// <summary>One step on a batch in host memory; the rows may be changed as soon as it returns, the step itself may
    /// still run.</summary>
    /// <param name="rows">[BatchRows, d] contiguous, in the trainer's element type.</param>
    /// <exception cref="SaeException">The size differs, a row holds NaN or infinity with NonFinite = Stop, or no row is
    /// finite: nothing has changed then.</exception>
    public void Step(ReadOnlySpan<byte> rows)
    {
        if (rows.Length != BatchBytes)
            throw new SaeException($"a batch of {rows.Length} bytes; BatchRows = {Config.BatchRows} rows of {RowBytes} "
                + $"bytes are {BatchBytes}");
        backend.WaitForSlot(slot);
        Take(rows, backend.InputSlot(slot));
        if (driver is null) Start(backend.InputSlot(slot));
        Run();
    }

    /// <summary>As the other, of float32.</summary>
    public void Step(ReadOnlySpan<float> rows) => Step(MemoryMarshal.AsBytes(RequireType(rows)));

    /// <summary>One step on a batch in device memory: read after the work that <paramref name="stream"/> holds now and
    /// before later work of it, so no side waits.
    /// NaN is noticed by the loss alone.</summary>
    /// <param name="rows">Device pointer of [BatchRows, d] contiguous, in the trainer's element type and in the
    /// device's primary context.</param>
    /// <param name="stream">CUstream that produced them; 0 for the default stream.</param>
    /// <exception cref="SaeException">The backend is the CPU.</exception>
    public void StepOnDevice(ulong rows, nint stream = 0)
    {
        if (driver is null)
        {
            var sample = new byte[BatchBytes];
            backend.ReadLent(rows, stream, sample);
            Start(sample);
        }
        backend.LendInput(slot, rows, Config.BatchRows, stream);
        Run();
    }

    void Run()
    {
        driver!.Run(slot);
        slot ^= 1;
    }

    /// <summary>Copies rows, and replaces those that hold NaN or infinity.</summary>
    void Take(ReadOnlySpan<byte> rows, Span<byte> into)
    {
        var (last, replaced) = (-1, 0);
        for (var b = 0; b < Config.BatchRows; b++)
        {
            var row = rows.Slice(b * RowBytes, RowBytes);
            if (Finite.All(row, type))
            {
                // Rows without a finite row before them.
                for (var before = 0; last < 0 && before < b; before++) row.CopyTo(into[(before * RowBytes)..]);
                last = b;
            }
            else if (Config.NonFinite == NonFiniteRows.Stop)
                throw new SaeException(
                    $"row {b} of the batch holds NaN or infinity; mend it, or set NonFinite to Replace",
                    kind: SaeErrorKind.Numbers);
            else replaced++;
            if (last >= 0) rows.Slice(last * RowBytes, RowBytes).CopyTo(into[(b * RowBytes)..]);
        }
        if (last < 0) throw new SaeException("no row of the batch is finite", kind: SaeErrorKind.Numbers);
        ReplacedRows += replaced;
    }

    ReadOnlySpan<float> RequireType(ReadOnlySpan<float> rows) =>
        type == InputType.Float32 ? rows
            : throw new SaeException($"this trainer takes {type}: give it the bytes of such rows");

    /// <summary>What the last step measured, on its batch before its update; waits for it.</summary>
    /// <exception cref="SaeException">No step was done, or the loss is no number.</exception>
    public StepMetrics Metrics()
    {
        var current = Started();
        var sums = backend.ReadSums();
        if (current.Step == 0) throw new SaeException("no step was done yet");
        var metrics = StepMetrics.From(sums, current.Scalars(sums.Step), Spec, Config, 0, null);
        return double.IsFinite(metrics.Loss) ? metrics
            : throw new SaeException($"the loss became {metrics.Loss} at step {sums.Step}; lower the learning rate or "
                + "clip gradients, then restore a checkpoint",
                kind: SaeErrorKind.Numbers);
    }

    StepDriver Started() =>
        driver
            ?? throw new SaeException("training has not started: call Start with a sample of the rows, or do a step");

    /// <summary>A copy of the SAE as it is now, of raw activations: scales, and with FoldDecoderNorms norms, folded
    /// in.</summary>
    /// <param name="average">The moving average of the weights instead; refused when EmaDecay is 0.</param>
    public SaeModel Model(bool average = false)
    {
        Started();
        var parameters = new SaeParameters(Spec);
        if (average) backend.GetAverage(parameters);
        else backend.GetParameters(parameters);
        Export.Finish(Spec, Config, parameters, scale);
        return new(Spec, parameters);
    }

    /// <summary>Saves all state into folder/checkpoint, atomically; the last Config.KeepCheckpoints are kept.</summary>
    /// <exception cref="SaeException">Another process writes the folder, or it cannot be written.</exception>
    public void Save(string folder)
    {
        var current = Started();
        using var taken = FolderLock.Take(folder, "save into another folder");
        var state = new Dictionary<string, string>(
            [.. current.State.Save(), .. scale.Save(), new("input_type", $"{type}")]);
        Checkpoint.Save(folder, backend, new(current.Step, default, state));
    }

    /// <summary>Continues where <see cref="Save"/> left off, bit for bit when the same batches follow.</summary>
    /// <exception cref="SaeException">There is no checkpoint, it is damaged, or it belongs to another spec, config,
    /// input type or backend.</exception>
    public void Restore(string folder)
    {
        if (driver is not null) throw new SaeException("this trainer has begun: restore into a new one");
        var at = Checkpoint.Restore(folder, backend, Schedules.DeadAfterSteps(Spec, Config));
        var saved = at.State!;
        if (saved.TryGetValue("input_type", out var other) && other != $"{type}")
            throw new SaeException($"the checkpoint in {folder} is of a trainer that took {other}, "
                + $"this one takes {type}");
        scale = DataScale.From(saved)
            ?? throw new SaeException($"the checkpoint in {folder} lacks its scales: "
                + "it was written by an older version of cudasae train; resume it with cudasae train");
        driver = new(backend, scale) { Step = at.Step };
        driver.State.Load(saved);
    }

    public void Dispose() => backend.Dispose();
}
