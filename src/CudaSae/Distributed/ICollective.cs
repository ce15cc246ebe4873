namespace CudaSae.Distributed;

/// <summary>Moves data between the ranks of a run, in host memory. All ranks call the same methods in the same order
/// with matching sizes. It moves bytes, and adds or compares integers only. The engine adds floating-point numbers in
/// an order that it states (docs/internals/decisions/0017-feature-shards.md).</summary>
unsafe interface ICollective : IDisposable
{
    /// <summary>Number of this rank, from 0.</summary>
    int Rank { get; }

    /// <summary>Number of ranks.</summary>
    int Size { get; }

    /// <summary>Number of ranks on this machine, with this one.</summary>
    int LocalSize { get; }

    /// <summary>One line on the library and the number of ranks.</summary>
    string Description { get; }

    /// <summary>Sends block p of <paramref name="send"/> to rank p, and receives block p from rank p.</summary>
    /// <param name="send">[Size, bytes].</param>
    /// <param name="receive">[Size, bytes]; another buffer.</param>
    /// <param name="bytes">Size of a block.</param>
    void AllToAll(void* send, void* receive, long bytes);

    /// <summary>Gives every rank the bytes of all ranks, in place. Rank p contributes the bytes [starts[p],
    /// starts[p + 1]).</summary>
    /// <param name="data">[starts[Size]] bytes; the rank's own are set.</param>
    /// <param name="starts">[Size + 1] offsets, the same on all ranks.</param>
    void AllGather(void* data, ReadOnlySpan<long> starts);

    /// <summary>Copies the bytes of one rank to all others.</summary>
    void Broadcast(void* data, long bytes, int root);

    /// <summary>Sends bytes to a rank, which calls <see cref="Receive"/>. It may wait for that call.</summary>
    void Send(void* data, long bytes, int to);

    /// <summary>Waits for bytes from a rank.</summary>
    void Receive(void* data, long bytes, int from);

    /// <summary>Replaces each number by its sum over the ranks.</summary>
    void Sum(Span<long> numbers);

    /// <inheritdoc cref="Sum(Span{long})"/>
    void Sum(Span<int> numbers);

    /// <summary>Replaces each number by its maximum over the ranks.</summary>
    void Max(Span<long> numbers);

    /// <summary>Waits until all ranks call it.</summary>
    void Barrier();

    /// <summary>States the step that begins, for a message about a rank that waits.</summary>
    void AtStep(long step) { }

    /// <summary>Whether a call first waits for all work of the device.</summary>
    bool WaitsForDevice => false;

    /// <summary>Whether this rank ends with an error. Devices then release nothing until the process ends, because the
    /// release may wait for ranks that wait for this one.</summary>
    bool Failed { get => false; set { } }

    /// <summary>Announces the start or the end of calls that may wait long, because another rank may be writing or
    /// reading files.</summary>
    void WaitsLong(bool begins) { }

    /// <summary>Announces the start of a wait that depends on other ranks and is not a call of this interface, such as
    /// one for the device; null for its end. Only waits of the thread that trains count.</summary>
    void Waiting(string? what) { }

    /// <summary>Adds a check for an error in the background, such as one of the network. It returns the error, or null
    /// for none, and any thread may call it.</summary>
    void Watch(Func<string?> fault) { }

    /// <summary>Ends the run on all ranks: calls of other ranks that wait fail, or their processes end.</summary>
    /// <param name="exitCode">Exit code of the processes, where the ranks are processes.</param>
    void Abort(int exitCode);
}
