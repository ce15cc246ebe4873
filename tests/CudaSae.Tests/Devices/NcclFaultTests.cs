using System.Diagnostics;
using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>Failing calls of the emulated NCCL and ended processes. The other ranks end, and nothing is left.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public sealed class NcclFaultTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>Every call of a rank fails in turn, those of the driver and those of NCCL.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void EveryCallMayFail(int failing)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var (calls, _, errors) = Run(failing, ulong.MaxValue);
        Assert.All(errors, Assert.Null);
        var failed = new HashSet<string>();
        for (ulong call = 0; call < calls; call++)
        {
            var (_, name, messages) = Run(failing, call);
            Assert.NotEqual("", name);
            failed.Add(name);
            var silent = name is "ncclCommGetAsyncError" or "ncclCommDestroy" or "ncclCommAbort"
                || name.Contains("Destroy", StringComparison.Ordinal) || name.Contains("Free", StringComparison.Ordinal)
                || name.Contains("Release", StringComparison.Ordinal) || name is "cuCtxSetCurrent";
            Assert.True(silent || messages[failing] is not null, $"call {call}, {name}: no error");
            if (name.StartsWith("nccl", StringComparison.Ordinal) && messages[failing] is { } message)
                Assert.Equal($"NCCL error 1 (unhandled cuda error) in {name}", message);
        }
        Assert.Superset(new HashSet<string>
        {
            "ncclGetVersion", "ncclGetUniqueId", "ncclCommInitRank", "ncclCommGetAsyncError", "ncclCommDestroy",
            "ncclGroupStart", "ncclGroupEnd", "ncclSend", "ncclRecv", "ncclAllGather", "ncclBroadcast", "ncclAllReduce",
        }, failed);
    }

    /// <summary>Makes every call of a communicator on two ranks, of which one fails. Returns the number of the rank's
    /// calls, the name of the failed one, and the errors of both ranks.</summary>
    static (ulong Calls, string Failed, string?[] Errors) Run(int failing, ulong call)
    {
        var id = new byte[Nccl.IdBytes];
        Random.Shared.NextBytes(id);
        var results = EmulatorRanks.Run(2, (8, 0), 0, rank =>
        {
            if (call != ulong.MaxValue) rank.Emulator.SetPeerLimit(1);
            string? error = null;
            using (var device = rank.OpenDevice())
            {
                rank.Emulator.FailAt(rank.Rank == failing ? call : ulong.MaxValue, 2);
                try { Use(rank, device, id); }
                catch (SaeException e) { error = e.Message; }
            }
            var (calls, failed) = (rank.Emulator.Calls, rank.Emulator.Failed);
            rank.Emulator.FailAt(ulong.MaxValue);
            rank.Emulator.Forgive();
            Assert.True((rank.Emulator.LiveAllocations, rank.Emulator.LiveHandles) is (0, 0),
                $"call {call}, {failed}: {rank.Emulator.LiveAllocations} allocations and {rank.Emulator.LiveHandles} "
                    + $"handles of rank {rank.Rank} are left");
            return (calls, failed, error);
        });
        return (results[failing].calls, results[failing].failed, [results[0].error, results[1].error]);
    }

    static void Use(EmulatedRank rank, CudaDevice device, byte[] id)
    {
        using var owned = new Owned(device);
        _ = device.NewNcclId();
        var communicator = owned.Add(device.Connect(id, rank.Rank, rank.Size));
        var stream = owned.Stream();
        ulong a = owned.Memory(64), b = owned.Memory(64);
        communicator.AllToAll(a, b, 8, stream);
        communicator.AllGather(a, 8, stream);
        communicator.Broadcast(b, 8, 1, stream);
        device.BeginCapture(stream);
        var captured = false;
        nint graph = 0;
        try
        {
            communicator.Reduce(a, 2, NcclInteger.Int64, NcclReduction.Max, stream);
            captured = true;
        }
        finally
        {
            if (captured) graph = device.EndCapture(stream);
            else Owned.Try(() => graph = device.EndCapture(stream));
            if (!captured && graph != 0) Owned.Try(() => device.DestroyGraph(graph));
        }
        try
        {
            device.LaunchGraph(graph, stream);
            if (rank.Rank == 0) communicator.Send(a, 8, 1, stream);
            else communicator.Receive(a, 8, 0, stream);
            if (communicator.AsyncError() is { } error) throw new SaeException(error);
            device.Synchronize(stream);
        }
        finally { Owned.Try(() => device.DestroyGraph(graph)); }
    }

    // ----------------------------------------------------------------------------------------------------------------
    // processes

    Process Start(string address, int rank, int size, string fault = "")
    {
        var start = new ProcessStartInfo(folder["ranks"],
            [Emulator.FindLibrary()!, $"{rank}", $"{size}", "6", .. fault.Length > 0 ? (string[])[fault] : []])
        {
            RedirectStandardOutput = true
        };
        start.Environment["NCCL_COMM_ID"] = address;
        start.Environment["CUDASAE_EMULATOR_NCCL_TIMEOUT"] = "10";
        return Process.Start(start)!;
    }

    static string End(Process process)
    {
        using (process)
        {
            var text = process.StandardOutput.ReadToEnd().Trim();
            if (!process.WaitForExit(30_000)) process.Kill();
            return text;
        }
    }

    static string[] Leftovers() => Directory.GetFiles("/dev/shm", "cudasae-nccl-*");

    /// <summary>Three processes exchange numbers. Then one is killed, and the others name it. A file that a killed
    /// process has left does not disturb the next group at the same address.</summary>
    [Fact]
    public void RanksMayBeProcesses()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var source = Path.Combine(Repository.Root, "tests", "faults", "ranks.c");
        using (var compiler = Process.Start("g++", ["-x", "c", source, "-o", folder["ranks"], "-ldl", "-pthread"]))
        {
            compiler.WaitForExit();
            Assert.Equal(0, compiler.ExitCode);
        }
        var before = Leftovers();
        var address = $"127.0.0.1:{Environment.ProcessId % 60000 + 1}";
        string[] Run(params string[] faults)
        {
            var started = faults.Select((fault, rank) => Start(address, rank, faults.Length, fault)).ToArray();
            return [.. started.Select(End)];
        }

        Assert.Equal(["ok", "ok", "ok"], Run("", "", ""));
        var killed = Run("", "", "kill-round");
        Assert.Equal("", killed[2]);
        foreach (var rank in (int[])[0, 1])
            Assert.Equal($"cuStreamSynchronize: 911: rank {rank} waits in ncclAllGather of 100001 uint32 at 6 for rank "
                + "2, which has ended", killed[rank]);
        Assert.Equal(before, Leftovers());

        Assert.Equal("", End(Start(address, 0, 3, "kill-join")));
        Assert.Equal(["ok", "ok", "ok"], Run("", "", ""));
        Assert.Equal(before, Leftovers());
    }
}
