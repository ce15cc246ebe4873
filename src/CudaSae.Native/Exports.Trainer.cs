using System.Runtime.InteropServices;

namespace CudaSae.Native;

/// <summary>Trainers.</summary>
static unsafe class TrainerExports
{
    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_create")]
    public static int Create(byte* json, nint* trainer)
    {
        try
        {
            *Arguments.Pointer(trainer, "trainer") = 0;
            *trainer = Handles.Add(new OpenTrainer(TrainerSettings.Parse(Arguments.Text(json, "json"))));
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_get_info")]
    public static int Info(nint trainer, void* info, nuint size)
    {
        try
        {
            using var use = Handles.Use<OpenTrainer>(trainer);
            Arguments.Fill(TrainerInfo.Of(use.Target), info, size);
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_start")]
    public static int Start(nint trainer, void* rows, long count, long width)
    {
        try
        {
            using var use = Handles.Use<OpenTrainer>(trainer);
            use.Target.Trainer.Start(use.Target.Rows(rows, count, width));
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_step")]
    public static int Step(nint trainer, void* rows, long count, long width)
    {
        try
        {
            using var use = Handles.Use<OpenTrainer>(trainer);
            use.Target.Trainer.Step(use.Target.Batch(rows, count, width));
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_step_device")]
    public static int StepOnDevice(nint trainer, void* rows, long count, long width, nint stream)
    {
        try
        {
            using var use = Handles.Use<OpenTrainer>(trainer);
            _ = use.Target.Batch(rows, count, width);       // never looked into from here
            use.Target.Trainer.StepOnDevice((ulong)rows, stream);
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_get_metrics")]
    public static int Metrics(nint trainer, void* metrics, nuint size)
    {
        try
        {
            using var use = Handles.Use<OpenTrainer>(trainer);
            Arguments.Fill(MetricsRecord.Of(use.Target.Trainer.Metrics(), use.Target.Trainer.ReplacedRows), metrics,
                size);
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_checkpoint")]
    public static int Checkpoint(nint trainer, byte* folder)
    {
        try
        {
            using var use = Handles.Use<OpenTrainer>(trainer);
            use.Target.Trainer.Save(Arguments.Text(folder, "folder"));
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_restore")]
    public static int Restore(nint trainer, byte* folder)
    {
        try
        {
            using var use = Handles.Use<OpenTrainer>(trainer);
            var (from, engine) = (Arguments.Text(folder, "folder"), use.Target.Trainer);
            return Errors.OfFiles(() =>
            {
                engine.Restore(from);
                return 0;
            });
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_sae")]
    public static int Snapshot(nint trainer, int average, long batchRows, nint* sae)
    {
        try
        {
            using var use = Handles.Use<OpenTrainer>(trainer);
            *Arguments.Pointer(sae, "sae") = 0;
            var rows = Arguments.BatchRows(batchRows);
            *sae = Handles.Add(OpenSae.Of(use.Target.Trainer.Model(average != 0), use.Target.Backend, rows));
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_save")]
    public static int Save(nint trainer, byte* path, byte* format)
    {
        try
        {
            using var use = Handles.Use<OpenTrainer>(trainer);
            using var model = use.Target.Trainer.Model();
            SaeExports.Write(model, path, format);
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_trainer_free")]
    public static int Free(nint trainer)
    {
        try
        {
            Handles.Free<OpenTrainer>(trainer);
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }
}
