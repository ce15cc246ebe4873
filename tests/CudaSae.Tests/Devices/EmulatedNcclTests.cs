using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>The emulated NCCL reports broken rules with both ranks, and never waits without a limit.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public unsafe class EmulatedNcclTests
{
    const double ShortLimit = 0.5;      // seconds

    /// <summary>Runs work on the ranks, and waits. Returns the message of each rank's error, "" for none.</summary>
    static string[] Messages(int ranks, ulong seed, Action<RawNccl, int> work, bool join = true,
        double limit = EmulatorRanks.PeerLimit)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        return EmulatorRanks.Run(ranks, (8, 0), seed, rank =>
        {
            rank.Emulator.SetPeerLimit(limit);
            using var nccl = new RawNccl(rank);
            try
            {
                if (join) nccl.Join();
                work(nccl, rank.Rank);
                nccl.Wait();
                return "";
            }
            catch (CudaException e) { return e.Message; }
            finally { rank.Collective.Barrier(); }      // a rank that ends early would cause another report
        });
    }

    static readonly ulong[] seeds = [0, 3, 8];

    /// <summary>Both ranks report the same rule. Either may find it.</summary>
    static void AssertBoth(string pattern, Action<RawNccl, int> work)
    {
        foreach (var seed in seeds)
            foreach (var message in Messages(2, seed, work))
                Assert.True(Regex.IsMatch(message, $@"in \w+(; [^;]*please report it)?; ({pattern})$"), message);
    }

    public static TheoryData<string> Mistakes => [.. NcclMistakes.All.Keys];

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void ADifferenceBetweenRanksIsReportedOnBoth(string name) =>
        AssertBoth(NcclMistakes.All[name].Report, NcclMistakes.All[name].Work);

    /// <summary>A circle of three ranks, of which no two wait for each other.</summary>
    [Fact]
    public void ACircleOfWaitsIsReported() =>
        Assert.All(Messages(3, 0, (n, rank) => n.Receive(n.A, 8, (rank + 1) % 3)), message =>
            Assert.Matches(@"rank \d waits in ncclRecv of 8 bytes from rank \d at 1(, rank \d waits in ncclRecv of 8 "
                + @"bytes from rank \d at 1){2}: none can continue", message));

    /// <summary>Messages between two ranks do not need the third one, and a grouped exchange matches single
    /// calls.</summary>
    [Fact]
    public void LegalOrdersPass()
    {
        foreach (var seed in seeds)
            Assert.Equal(["", "", ""], Messages(3, seed, (n, rank) =>
            {
                if (rank == 0)
                {
                    n.Start();
                    n.Send(n.A, 300, 1);
                    n.Receive(n.B, 300, 1);
                    n.End();
                }
                else if (rank == 1)
                {
                    n.Receive(n.B, 300, 0);
                    n.Send(n.A, 300, 0);
                }
                n.AllGather(n.A + 40 * (ulong)rank, n.A, 40);       // in place
                n.AllGather(n.A, n.B, 40);
                n.Broadcast(n.A, n.B, 64, 2);
                n.Reduce(n.A, n.A, 16, RawNccl.Int32);
                n.Reduce(n.A, n.B, 16, RawNccl.Int32);
            }));
    }

    [Fact]
    public void BuffersAreChecked()
    {
        Refused("ncclSend of 65537 bytes to rank 1 at 1: the send buffer leaves its allocation",
            n => n.Send(n.A, RawNccl.Room + 1, 1));
        Refused("ncclAllGather of 40000 bytes at 1: the receive buffer leaves its allocation",
            n => n.AllGather(n.A, n.B, 40_000));
        Refused("ncclRecv of 8 bytes from rank 1 at 1: the receive buffer leaves its allocation",
            n => n.Receive(64, 8, 1));
        Refused("ncclAllGather of 64 bytes at 1: the send buffer and the receive buffer overlap",
            n => n.AllGather(n.A + 64, n.A, 64));       // block 1 on rank 0
        Refused(@"ncclAllReduce of 4 int32 \(sum\) at 1: the send buffer and the receive buffer overlap",
            n => n.Reduce(n.A, n.A + 4, 4, RawNccl.Int32));
        Refused("ncclBroadcast of 8 bytes of rank 0 at 1: the send buffer and the receive buffer overlap",
            n => n.Broadcast(n.A, n.A + 4, 8, 0));
        Refused(@"ncclRecv of 8 bytes from rank 1 at 1 and ncclSend of 8 bytes to rank 1 at 1 in one group: their "
            + "buffers overlap", n =>
            {
                n.Start();
                n.Send(n.A, 8, 1);
                n.Receive(n.A + 4, 8, 1);
                n.End();
            });
        Refused("ncclSend of 8 bytes to rank 2 at 1: a communicator of 2 ranks", n => n.Send(n.A, 8, 2));
        Refused(@"ncclAllReduce of 4 float32 \(sum\) at 0: only integers of 32 and 64 bits are emulated; the order of "
            + "a float sum is NCCL's, so the engine adds floats itself",
            n => n.Reduce(n.A, n.A, 4, RawNccl.Float32));
        Refused(@"ncclAllReduce of 4 int32 \(average\) at 0: only sum, maximum and minimum are emulated",
            n => n.Reduce(n.A, n.A, 4, RawNccl.Int32, 4));

        static void Refused(string report, Action<RawNccl> work)
        {
            var messages = Messages(2, 0, (n, rank) =>
            {
                if (rank == 0) work(n);
            });
            Assert.Matches($"NCCL error [45] .*; (rank 0 calls )?{report}$", messages[0]);
            Assert.Equal("", messages[1]);
        }
    }

    /// <summary>Memory that is freed between the capture and the launch, and a graph that outlives its
    /// communicator.</summary>
    [Fact]
    public void AGraphNeedsItsMemoryAndItsCommunicator()
    {
        Assert.Contains("rank 0 calls ncclBroadcast of 8 bytes of rank 0 at 1 in a graph: the send buffer leaves its "
            + "allocation", Run((n, memory) => n.Device.Free(memory)));
        Assert.Contains("rank 0 calls ncclBroadcast of 8 bytes of rank 0 at 1 in a graph after ncclCommDestroy",
            Run((n, memory) =>
            {
                n.Destroy();
                n.Device.Free(memory);
            }));

        static string Run(Action<RawNccl, ulong> before) => Messages(1, 0, (n, _) =>
        {
            var memory = n.Device.Allocate(8);
            n.Device.BeginCapture(n.Stream);
            n.Broadcast(memory, memory, 8, 0);
            var graph = n.Device.EndCapture(n.Stream);
            try
            {
                before(n, memory);
                n.Device.LaunchGraph(graph, n.Stream);
                n.Wait();
            }
            finally { Owned.Try(() => n.Device.DestroyGraph(graph)); }
        })[0];
    }

    /// <summary>A second stream must wait for the first one by an event.</summary>
    [Fact]
    public void TwoStreamsNeedAnOrder()
    {
        foreach (var seed in seeds)
        {
            Assert.All(Messages(2, seed, (n, _) => Use(n, ordered: false)), message =>
                Assert.Contains("an earlier operation of the communicator on another stream is not complete", message));
            Assert.Equal(["", ""], Messages(2, seed, (n, _) => Use(n, ordered: true)));
        }

        static void Use(RawNccl n, bool ordered)
        {
            var (second, done) = (n.NewStream(), n.Device.CreateEvent());
            try
            {
                n.AllGather(n.A, n.B, 8);
                if (ordered)
                {
                    n.Device.Record(done, n.Stream);
                    n.Device.Wait(second, done);
                }
                n.AllGather(n.A, n.B, 8, second);
                n.Device.Synchronize(second);
            }
            finally { Owned.Try(() => n.Device.DestroyEvent(done)); }
        }
    }

    [Fact]
    public void AnOpenGroupIsReportedByTheNextWait()
    {
        Assert.All(Messages(2, 0, (n, rank) =>
        {
            n.Start();
            n.Send(n.A, 8, 1 - rank);
            n.Receive(n.B, 8, 1 - rank);
            try { n.Wait(); }
            finally { _ = n.Functions.groupEnd(); }
        }), message => Assert.EndsWith("cuStreamSynchronize inside ncclGroupStart: ncclGroupEnd is missing", message));
        Assert.All(Messages(2, 0, (n, _) =>
        {
            n.Start();
            n.Destroy();
        }), message => Assert.EndsWith("ncclCommDestroy inside ncclGroupStart: ncclGroupEnd is missing", message));
        Assert.EndsWith("ncclGroupEnd without ncclGroupStart", Messages(1, 0, (n, _) => n.End())[0]);
    }

    /// <summary>Rank 1 does not join the operation. The others fail at once if it has ended its communicator, and at
    /// the limit if not.</summary>
    [Theory]
    [InlineData("abort", "has aborted its communicator")]
    [InlineData("destroy", "has destroyed its communicator")]
    [InlineData("nothing", "makes no call, after 0.5 s")]
    [InlineData("another", "waits in ncclRecv of 8 bytes from rank 2 at 1, after 0.5 s")]
    public void ARankThatDoesNotComeIsNamed(string action, string report)
    {
        var clock = Stopwatch.StartNew();
        using var others = new CountdownEvent(2);
        var messages = Messages(3, 0, (n, rank) =>
        {
            if (rank == 0 || (rank == 2 && action != "another"))
                try
                {
                    n.AllGather(n.A, n.B, 16);
                    n.Wait();
                }
                finally { others.Signal(); }
            else if (rank == 1)
            {
                if (action == "abort") n.Abort();
                if (action == "destroy") n.Destroy();
                if (action == "another") n.Receive(n.A, 8, 2);
                if (action == "nothing") others.Wait(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
            }
            else
            {
                others.Signal();
                others.Wait(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
            }
        }, limit: action is "nothing" or "another" ? ShortLimit : EmulatorRanks.PeerLimit);
        Assert.Contains($"rank 0 waits in ncclAllGather of 16 bytes at 1 for rank 1, which {report}", messages[0]);
        Assert.Contains("CUDA error 911 (CUDA_ERROR_EXTERNAL_DEVICE", messages[0]);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"{clock.Elapsed}");
    }

    /// <summary>Another thread ends a wait.</summary>
    [Fact]
    public void AbortEndsAWait()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var messages = EmulatorRanks.Run(2, (8, 0), 0, rank =>
        {
            using var device = rank.OpenDevice();
            using var communicator = rank.Connect(device);
            using var owned = new Owned(device);
            var (stream, memory) = (owned.Stream(), owned.Memory(64));
            rank.Collective.Barrier();
            if (rank.Rank == 1)
            {
                var until = DateTime.UtcNow.AddSeconds(10);
                while (communicator.AsyncError() is null && DateTime.UtcNow < until) Thread.Sleep(5);
                return communicator.AsyncError()!;
            }
            Assert.Null(communicator.AsyncError());
            using var timer = new Timer(_ => communicator.Abort(), null, 100, Timeout.Infinite);
            communicator.AllGather(memory, 32, stream);
            var message = Assert.Throws<CudaException>(() => device.Synchronize(stream)).Message;
            Assert.Equal("the communicator of the devices has ended",
                Assert.Throws<SaeException>(() => communicator.AllGather(memory, 32, stream)).Message);
            rank.Emulator.Forgive();
            return message;
        });
        Assert.EndsWith("rank 0 has aborted its communicator", messages[0]);
        Assert.Equal("NCCL error 6 (remote process exited or there was a network error) in an operation; rank 0 has "
            + "aborted its communicator", messages[1]);
    }

    /// <summary>A communicator is released also where NCCL returns an error.</summary>
    [Theory]
    [InlineData("ncclCommAbort")]
    [InlineData("ncclCommDestroy")]
    public void AFailedReleaseLeavesNothing(string call)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        EmulatorRanks.Run(1, (8, 0), 0, rank =>
        {
            using (var device = rank.OpenDevice())
            using (var communicator = rank.Connect(device))
            {
                rank.Emulator.FailNext(call, 2);
                if (call == "ncclCommAbort") communicator.Abort();
            }
            Assert.Equal((0ul, 0ul), (rank.Emulator.LiveAllocations, rank.Emulator.LiveHandles));
        });
    }

    /// <summary>The receive buffer has no old data while the operation waits. The operation continues while its host
    /// thread waits for another rank outside the driver.</summary>
    [Fact]
    public void ReceiveBuffersArePoisonedAndOperationsContinue()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        EmulatorRanks.Run(2, (8, 0), 0, rank =>
        {
            using var n = new RawNccl(rank);
            n.Join();
            n.Device.Fill32(n.B, 0, 16, n.Stream);
            n.Wait();
            if (rank.Rank == 0) n.AllGather(n.A, n.B, 16);
            Thread.Sleep(100);
            byte[] poison = [.. Enumerable.Repeat((byte)0xCD, 16)];
            if (rank.Rank == 0) Assert.Equal(poison, new Span<byte>((void*)(n.B + 16), 16).ToArray());
            rank.Collective.Barrier();
            if (rank.Rank == 1)
            {
                n.AllGather(n.A, n.B, 16);
                n.Wait();
                Assert.Equal([.. poison, .. poison], n.Read(n.B, 32));      // memory A was not set
            }
            rank.Collective.Barrier();      // rank 0 has not waited for its stream
        });
    }

    [Fact]
    public void TwoCommunicatorsAreApart()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        EmulatorRanks.Run(3, (8, 0), 4, rank =>
        {
            using var device = rank.OpenDevice();
            using var owned = new Owned(device);
            NcclCommunicator first = owned.Add(rank.Connect(device)), second = owned.Add(rank.Connect(device));
            nint one = owned.Stream(), two = owned.Stream();
            ulong a = owned.Memory(3 * 4), b = owned.Memory(3 * 4);
            for (var round = 0; round < 5; round++)
            {
                device.Fill32(a + 4 * (ulong)rank.Rank, (uint)(10 * round + rank.Rank), 1, one);
                device.Fill32(b, (uint)(100 * round + rank.Rank), 1, two);
                // Each rank queues them in another order.
                if (rank.Rank == 0) first.AllGather(a, 4, one);
                second.Reduce(b, 1, NcclInteger.Int32, NcclReduction.Sum, two);
                if (rank.Rank != 0) first.AllGather(a, 4, one);
                int[] gathered = new int[3], sum = new int[1];
                device.Download<int>(sum, b, two);
                device.Download<int>(gathered, a, one);
                Assert.Equal([10 * round, 10 * round + 1, 10 * round + 2], gathered);
                Assert.Equal(300 * round + 3, sum[0]);
            }
            Assert.Equal(2 + 2 + 1ul, rank.Emulator.LiveHandles);       // communicators, streams, the context
        });
    }

    /// <summary>Ranks that join in different ways.</summary>
    [Fact]
    public void RanksMustAgreeHowTheyJoin()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var id = new byte[Nccl.IdBytes];
        Random.Shared.NextBytes(id);
        Assert.Contains(Messages(2, 0, (n, rank) => n.Join(id, 2 + rank, rank), join: false, ShortLimit), message =>
            Regex.IsMatch(message,
                @"rank \d of [23] in ncclCommInitRank: rank \d joins [23] ranks, another rank [23]"));
        Random.Shared.NextBytes(id);
        Assert.Contains(Messages(2, 0, (n, _) => n.Join(id, 2, 1), join: false, ShortLimit), message =>
            Regex.IsMatch(message, "rank 1 of 2 in ncclCommInitRank: rank 1 of one id joins twice"));
        Random.Shared.NextBytes(id);
        Assert.Equal("NCCL error 6 (remote process exited or there was a network error) in ncclCommInitRank; rank 0 of "
            + "2 in ncclCommInitRank: 1 of 2 ranks have joined after 0.5 s",
            Messages(1, 0, (n, _) => n.Join(id, 2, 0), join: false, ShortLimit)[0]);
        Assert.Empty(Leftovers());
    }

    static string[] Leftovers() => Directory.GetFiles("/dev/shm", "cudasae-nccl-*");

    /// <summary>The variable gives all ranks one id, which serves one communicator.</summary>
    [Fact]
    public void TheAddressOfTheVariableServesOneCommunicator()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var port = Environment.ProcessId % 60000 + 1;
        Assert.Equal(0, SetVariable("NCCL_COMM_ID", $"127.0.0.1:{port}", 1));
        try
        {
            Assert.All(Messages(2, 0, (n, rank) =>
            {
                n.Join(n.Device.NewNcclId(), 2, rank);
                n.AllGather(n.A, n.B, 8);
                n.Wait();
                n.Destroy();
                n.Join(n.Device.NewNcclId(), 2, rank);
            }, join: false), message =>
                Assert.EndsWith($"NCCL_COMM_ID=127.0.0.1:{port} serves one communicator", message));
            SetVariable("NCCL_COMM_ID", "nowhere", 1);
            Assert.EndsWith("NCCL_COMM_ID is nowhere; it must be HOST:PORT",
                Messages(1, 0, (n, _) => n.Device.NewNcclId(), join: false)[0]);
        }
        finally { ClearVariable("NCCL_COMM_ID"); }
    }

    [DllImport("libc", EntryPoint = "setenv")]
    static extern int SetVariable([MarshalAs(UnmanagedType.LPStr)] string name,
        [MarshalAs(UnmanagedType.LPStr)] string value, int replace);

    [DllImport("libc", EntryPoint = "unsetenv")]
    static extern int ClearVariable([MarshalAs(UnmanagedType.LPStr)] string name);
}
