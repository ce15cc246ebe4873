namespace CudaSae.Distributed;

/// <summary>One rank alone, for an order of sums that one process shares with several ranks
/// (<see cref="SumOrder.Fixed"/>).</summary>
sealed unsafe class SingleCollective : ICollective
{
    public int Rank => 0;
    public int Size => 1;
    public int LocalSize => 1;
    public string Description => "one rank";

    public void AllToAll(void* send, void* receive, long bytes) => Buffer.MemoryCopy(send, receive, bytes, bytes);
    public void AllGather(void* data, ReadOnlySpan<long> starts) { }
    public void Broadcast(void* data, long bytes, int root) { }
    public void Send(void* data, long bytes, int to) => throw NoOther();
    public void Receive(void* data, long bytes, int from) => throw NoOther();
    public void Sum(Span<long> numbers) { }
    public void Sum(Span<int> numbers) { }
    public void Max(Span<long> numbers) { }
    public void Barrier() { }
    public void Abort(int exitCode) { }
    public void Dispose() { }

    static InvalidOperationException NoOther() => new("there is one rank");
}
