namespace CudaSae.Tests;

/// <summary>Calls of two ranks that do not match, and the report that both ranks give.</summary>
static class NcclMistakes
{
    /// <summary>A pattern of the report, and the calls of a rank.</summary>
    public static IReadOnlyDictionary<string, (string Report, Action<RawNccl, int> Work)> All { get; } =
        new Dictionary<string, (string, Action<RawNccl, int>)>
        {
            ["operations"] = (Calls("ncclAllGather of 4096 bytes at 1", "ncclSend of 4096 bytes to rank 1 at 1"),
                Operations),
            ["later operations"] = (Calls("ncclAllGather of 8 bytes at 3", "ncclBroadcast of 8 bytes of rank 0 at 3"),
                LaterOperations),
            ["counts"] = (Calls("ncclAllGather of 64 bytes at 1", "ncclAllGather of 65 bytes at 1"),
                static (n, rank) => n.AllGather(n.A, n.B, 64 + rank)),
            ["counts of a message"] = (Calls("ncclRecv of 65 bytes from rank 0 at 1",
                "ncclSend of 64 bytes to rank 1 at 1"), CountsOfAMessage),
            ["types"] = (Calls(@"ncclAllReduce of 4 int32 \(sum\) at 1", @"ncclAllReduce of 4 uint32 \(sum\) at 1"),
                static (n, rank) => n.Reduce(n.A, n.A, 4, rank == 0 ? RawNccl.Int32 : RawNccl.UInt32)),
            ["types of a message"] = (Calls("ncclRecv of 16 int32 from rank 1 at 1",
                "ncclSend of 16 uint32 to rank 0 at 1"), TypesOfAMessage),
            ["reductions"] = (Calls(@"ncclAllReduce of 4 int32 \(sum\) at 1",
                @"ncclAllReduce of 4 int32 \(maximum\) at 1"),
                static (n, rank) => n.Reduce(n.A, n.A, 4, RawNccl.Int32, rank == 0 ? RawNccl.Sum : RawNccl.Max)),
            ["roots"] = (Calls("ncclBroadcast of 8 bytes of rank 0 at 1", "ncclBroadcast of 8 bytes of rank 1 at 1"),
                static (n, rank) => n.Broadcast(n.A, n.A, 8, rank)),
            ["two sends"] = (Waits("ncclSend of 8 bytes to rank 1 at 1", "ncclSend of 8 bytes to rank 0 at 1"),
                static (n, rank) => n.Send(n.A, 8, 1 - rank)),
            ["two receives"] = (Waits("ncclRecv of 8 bytes from rank 1 at 1", "ncclRecv of 8 bytes from rank 0 at 1"),
                static (n, rank) => n.Receive(n.A, 8, 1 - rank)),
            ["a send without its receive"] = (Calls("ncclAllGather of 8 bytes at 2",
                "ncclSend of 8 bytes to rank 1 at 1"), SendWithoutReceive),
            ["a capture on one rank"] = (Calls("ncclAllGather of 8 bytes at 1",
                "ncclAllGather of 8 bytes at 1 in a graph") + "; a capture must be the same on both ranks",
                CaptureOnOne),
        };

    /// <summary>Either rank may find the difference.</summary>
    static string Calls(string one, string other) =>
        $"rank [01] calls ({one}, rank [01] {other}|{other}, rank [01] {one})";

    static string Waits(string first, string second) =>
        $"rank [01] waits in ({first}, rank 1 waits in {second}|{second}, rank 0 waits in {first}): none can continue";

    static void Operations(RawNccl n, int rank)
    {
        if (rank == 0) n.Send(n.A, 4096, 1);
        else n.AllGather(n.A, n.B, 4096);
    }

    static void LaterOperations(RawNccl n, int rank)
    {
        for (var i = 0; i < 2; i++) n.AllGather(n.A, n.B, 8);
        if (rank == 0) n.Broadcast(n.A, n.A, 8, 0);
        else n.AllGather(n.A, n.B, 8);
    }

    static void CountsOfAMessage(RawNccl n, int rank)
    {
        if (rank == 0) n.Send(n.A, 64, 1);
        else n.Receive(n.A, 65, 0);
    }

    static void TypesOfAMessage(RawNccl n, int rank)
    {
        if (rank == 0) n.Receive(n.A, 16, 1, RawNccl.Int32);
        else n.Send(n.A, 16, 0, RawNccl.UInt32);
    }

    static void SendWithoutReceive(RawNccl n, int rank)
    {
        n.Start();
        n.Send(n.A, 8, 1 - rank);
        if (rank == 0) n.Receive(n.B, 8, 1);
        n.End();
        n.AllGather(n.A, n.B, 8);
    }

    static void CaptureOnOne(RawNccl n, int rank)
    {
        if (rank == 1) n.Device.BeginCapture(n.Stream);
        n.AllGather(n.A, n.B, 8);
        if (rank == 0) return;
        var graph = n.Device.EndCapture(n.Stream);
        n.Device.LaunchGraph(graph, n.Stream);
        try { n.Wait(); }
        finally { Devices.Owned.Try(() => n.Device.DestroyGraph(graph)); }
    }
}
