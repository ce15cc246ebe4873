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

/// <summary>Trains an SAE step by step in the caller's loop, on rows in the caller's host or GPU memory. It uses the
/// phases and schedules of <c>cudasae train</c>, and the result on the same rows is bitwise the same. Only one thread
/// at a time may use it. A step allocates no memory on the managed heap.</summary>
public sealed class SaeTrainer : IDisposable
{
    readonly IBackend backend;
    readonly InputType type;
    StepDriver? driver;
    DataScale scale;
    int slot;

    /// <summary>Creates a trainer and allocates the memory of its backend.</summary>
    /// <param name="spec">The architecture of the SAE.</param>
    /// <param name="config">The settings of the training. BatchRows is the number of rows in each step; Vectors /
    /// BatchRows is the number of steps that the schedules span.</param>
    /// <param name="kind">The backend that computes.</param>
    /// <param name="type">Element type of the rows.</param>
    /// <exception cref="SaeException">A field is out of range, the backend is not available, or memory does not
    /// suffice.</exception>
    public SaeTrainer(SaeSpec spec, TrainConfig config, BackendKind kind = BackendKind.Auto,
        InputType type = InputType.Float32)
    {
        if (config.Resampling is not null)
            throw new SaeException("resampling reads the data again, which is possible in cudasae train only: use Aux "
                + "or Ghost, or set Resampling to null");
        if (config.NonFinite == NonFiniteRows.Skip)
            throw new SaeException("NonFinite = Skip leaves rows out of the data that a run reads, but a batch of the "
                + "caller has a fixed size: set NonFinite to Replace or Stop");
        (Spec, Config, this.type) = (spec, config, type);
        backend = BackendFactory.Create(kind, spec, config, type, static (_, _) => { }, out var why);
        Description = kind == BackendKind.Auto ? $"{backend.Description} ({why})" : backend.Description;
    }

    /// <summary>The architecture of the SAE.</summary>
    public SaeSpec Spec { get; }

    /// <summary>The settings of the training.</summary>
    public TrainConfig Config { get; }

    /// <summary>One line that describes the backend; with <see cref="BackendKind.Auto"/>, also the reason for its
    /// choice.</summary>
    public string Description { get; }

    /// <summary>The memory of the trainer, in bytes, by name.</summary>
    public MemoryPlan Memory => backend.Plan;

    /// <summary>Number of steps that are done, including those before the checkpoint that was restored.</summary>
    public long Steps => driver?.Step ?? 0;

    /// <summary>Number of rows that this trainer replaced because they hold NaN or infinity (NonFinite =
    /// Replace).</summary>
    public long ReplacedRows { get; private set; }

    int RowBytes => Spec.RowWidth * type.Bytes();
    int BatchBytes => checked(Config.BatchRows * RowBytes);

    /// <summary>Draws the starting weights and measures scale and variance on a sample of rows. A larger sample is
    /// better; at most 32,768 rows are used. Without this call, the batch of the first step is the sample.</summary>
    /// <param name="rows">[any, d] Rows in the trainer's element type; a transcoder's target follows its input in each
    /// row.</param>
    public void Start(ReadOnlySpan<byte> rows)
    {
        using var source = ActivationSource.Of(rows.ToArray(), Spec.RowWidth, type);
        var start = new TrainingStart(source, source.Rows, Spec, Config);
        using var weights = start.Weights(Spec, Config);
        Begin(weights, start.Scale);
    }

    /// <inheritdoc cref="Start(ReadOnlySpan{byte})"/>
    /// <exception cref="SaeException">The trainer's element type is not float32.</exception>
    public void Start(ReadOnlySpan<float> rows) => Start(MemoryMarshal.AsBytes(RequireType(rows)));

    void Begin(SaeParameters weights, DataScale from)
    {
        scale = from;
        backend.SetParameters(weights);
        driver = new(backend, scale);
    }

    /// <summary>Starts one step on a batch in host memory. The caller may change the rows when this method returns,
    /// although the step may still run.</summary>
    /// <param name="rows">[BatchRows, d] Contiguous rows in the trainer's element type.</param>
    /// <exception cref="SaeException">The size differs, a row holds NaN or infinity with NonFinite = Stop, or no row is
    /// finite. The trainer has not changed then.</exception>
    public void Step(ReadOnlySpan<byte> rows)
    {
        if (rows.Length != BatchBytes)
            throw new SaeException($"a batch has {rows.Length} bytes; BatchRows = {Config.BatchRows} rows of "
                + $"{RowBytes} bytes are {BatchBytes}");
        backend.WaitForSlot(slot);
        Take(rows, backend.InputSlot(slot));
        if (driver is null) Start(backend.InputSlot(slot));
        Run();
    }

    /// <inheritdoc cref="Step(ReadOnlySpan{byte})"/>
    /// <exception cref="SaeException">The trainer's element type is not float32.</exception>
    public void Step(ReadOnlySpan<float> rows) => Step(MemoryMarshal.AsBytes(RequireType(rows)));

    /// <summary>Starts one step on a batch in device memory. The rows are read after the work already queued on
    /// <paramref name="stream"/>, and work queued there later waits for the read; the host does not wait. Rows with NaN
    /// are not replaced; they show in the loss only.</summary>
    /// <param name="rows">Device pointer of [BatchRows, d] contiguous rows, in the trainer's element type and in the
    /// device's primary context.</param>
    /// <param name="stream">The CUstream that produces the rows; 0 for the default stream.</param>
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
                // The first finite row also replaces the rows before it.
                for (var before = 0; last < 0 && before < b; before++) row.CopyTo(into[(before * RowBytes)..]);
                last = b;
            }
            else if (Config.NonFinite == NonFiniteRows.Stop)
                throw new SaeException(
                    $"row {b} of the batch holds NaN or infinity; repair it, or set NonFinite to Replace",
                    kind: SaeErrorKind.Numbers);
            else replaced++;
            if (last >= 0) rows.Slice(last * RowBytes, RowBytes).CopyTo(into[(b * RowBytes)..]);
        }
        if (last < 0) throw new SaeException("no row of the batch is finite", kind: SaeErrorKind.Numbers);
        ReplacedRows += replaced;
    }

    ReadOnlySpan<float> RequireType(ReadOnlySpan<float> rows) =>
        type == InputType.Float32 ? rows
            : throw new SaeException($"this trainer takes {type}: pass the bytes of such rows");

    /// <summary>Waits for the last step, and returns its measurements, on its batch and before its update.</summary>
    /// <exception cref="SaeException">No step was done, or the loss is not finite.</exception>
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

    /// <summary>Returns a copy of the current SAE, for raw activations. Scales are folded into its weights, and so are
    /// decoder norms if FoldDecoderNorms is set.</summary>
    /// <param name="average">Whether to return the moving average of the weights instead; refused if EmaDecay is
    /// 0.</param>
    /// <exception cref="SaeException">Training has not started, or there is no moving average.</exception>
    public SaeModel Model(bool average = false)
    {
        Started();
        var parameters = new SaeParameters(Spec);
        if (average) backend.GetAverage(parameters);
        else backend.GetParameters(parameters);
        Export.Finish(Spec, Config, parameters, scale);
        return new(Spec, parameters);
    }

    /// <summary>Saves all state atomically as a checkpoint in folder/checkpoint. The newest Config.KeepCheckpoints
    /// checkpoints are kept.</summary>
    /// <param name="folder">The folder, which is created if it does not exist.</param>
    /// <exception cref="SaeException">Training has not started, another process writes to the folder, or it cannot be
    /// written.</exception>
    public void Save(string folder)
    {
        var current = Started();
        using var taken = FolderLock.Take(folder, "save into another folder");
        var state = new Dictionary<string, string>(
            [.. current.State.Save(), .. scale.Save(), new("input_type", $"{type}")]);
        Checkpoint.Save(folder, backend, new(current.Step, default, state));
    }

    /// <summary>Restores the newest checkpoint of <see cref="Save"/> into a new trainer. If the same batches follow,
    /// the result is bitwise that of the trainer that saved it.</summary>
    /// <param name="folder">The folder of the checkpoint.</param>
    /// <exception cref="SaeException">There is no checkpoint, it is damaged, or it belongs to another spec, config,
    /// input type or backend; or this trainer has started.</exception>
    public void Restore(string folder)
    {
        if (driver is not null) throw new SaeException("this trainer has started: restore into a new one");
        var at = Checkpoint.Restore(folder, backend, Schedules.DeadAfterSteps(Spec, Config));
        var saved = at.State!;
        if (saved.TryGetValue("input_type", out var other) && other != $"{type}")
            throw new SaeException($"the checkpoint in {folder} is of a trainer that took {other}, "
                + $"but this one takes {type}");
        scale = DataScale.From(saved)
            ?? throw new SaeException($"the checkpoint in {folder} lacks its scales: "
                + "it was written by an older version of cudasae train; resume it with cudasae train");
        driver = new(backend, scale) { Step = at.Step };
        driver.State.Load(saved);
    }

    /// <summary>Frees all memory of the trainer.</summary>
    public void Dispose() => backend.Dispose();
}
