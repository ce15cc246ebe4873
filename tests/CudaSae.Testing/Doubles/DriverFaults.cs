using System.Text.RegularExpressions;
using CudaSae.Backends.Kernels;
using CudaSae.Lab.Verification;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;
using CudaSae.Training.Checkpoints;
using Xunit;

namespace CudaSae.Testing.Doubles;

/// <summary>A training run on the emulator in which the driver call of one number fails: what came of it.</summary>
static class DriverFaults
{
    public const int OutOfMemory = 2, EccUncorrectable = 214, LaunchFailed = 719;

    static readonly SmallProblem topK = new(4, width: 16, latents: 32, active: 3, aux: new AuxLoss(4, 0.1f, 2));

    /// <summary>Every batch finds out in mid-step that its code has no room.</summary>
    static readonly SmallProblem crowded = new(new SaeSpec
    {
        InputWidth = 16, Latents = 32,
        Selection = new Selection.Relu(Room: 3), Penalty = new SparsityPenalty.L1 { Coefficient = 0.1f }
    },
        rows: 4);

    /// <summary>How many calls a run makes that is left alone.</summary>
    /// <param name="late">Steps that are replayed on the sparse path and then take the dense one.</param>
    public static ulong Count(string folder, bool late)
    {
        Targets.Emulator.FailAt(ulong.MaxValue);
        Train(folder, late, () => { });
        return Targets.Emulator.Calls;
    }

    /// <summary>Runs with the failure, holds what must hold, and says which call failed and which name the message gave
    /// it; null names for a run that did not notice, because it was giving things back.</summary>
    public static (string Call, string? Name) Inject(string folder, bool late, ulong call, int code)
    {
        var emulator = Targets.Emulator;
        emulator.Forgive();
        var (allocations, handles) = (emulator.LiveAllocations, emulator.LiveHandles);
        emulator.FailAt(call, code, sticky: code != OutOfMemory);
        var disposing = false;
        string? name = null;
        try { Train(folder, late, () => disposing = true); }
        catch (SaeException e)
        {
            Assert.False(disposing, $"call {call}, {emulator.Failed}: Dispose threw {e.Message}");
            var match = Regex.Match(e.Message, @"^(CUDA error \d+ \(CUDA_ERROR_\w+: .+\)|cuBLAS status 13) in (\w+)");
            Assert.True(match.Success, e.Message);
            if (e.Message.StartsWith("CUDA", StringComparison.Ordinal))
                Assert.StartsWith($"CUDA error {code} (", e.Message);
            name = match.Groups[2].Value;
        }
        var failed = emulator.Failed;
        emulator.FailAt(ulong.MaxValue);
        Assert.True(failed.Length > 0, $"call {call} did not come");
        Assert.True(name is not null || disposing, $"call {call}, {failed}: its error {code} was lost");
        Assert.True((allocations, handles) == (emulator.LiveAllocations, emulator.LiveHandles),
            $"call {call}, {failed}, error {code}: {emulator.LiveAllocations - allocations} allocations and "
                + $"{emulator.LiveHandles - handles} handles are left");
        Assert.Empty(Directory.Exists(folder) ? Directory.GetFiles(folder, "*.tmp", SearchOption.AllDirectories) : []);
        // A failure to take something back in mid-run is passed over; of a lost device the next call tells, under its
        // own name.
        var givingBack = Regex.IsMatch(failed, "Free|Destroy|Unload|Release")
            || (failed == "cuCtxSetCurrent" && name != "setContext");
        return (failed, disposing || givingBack ? null : name);
    }

    /// <summary>Make, set, three steps of which the first is recorded and the others replayed, the dense check,
    /// checkpoint, read, give back.</summary>
    static void Train(string folder, bool late, Action disposing)
    {
        var problem = late ? crowded : topK;
        var backend = new KernelBackend(Targets.OpenEmulator(), problem.Spec, problem.Config, InputType.Float32,
            ownsDevice: true)
        { Dense = false };
        try
        {
            backend.SetParameters(problem.Parameters);
            var step = new SaeStep(backend);
            for (uint t = 1; t <= 3; t++)
            {
                SmallProblem.Feed(backend, (int)(t & 1), problem.Batch());
                step.Run((int)(t & 1), problem.Scalars(t));
            }
            Assert.Equal((3u, late), (backend.ReadSums().Step, backend.ReadSums().Dense != 0));
            if (!late) backend.CheckAgainstDense();
            Checkpoint.Save(folder, backend, new(3, default));
            disposing();
        }
        finally
        {
            backend.Dispose();
        }
    }
}
