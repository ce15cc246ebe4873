namespace CudaSae.Backends;

/// <summary>Rows of the data that lie where the steps run: a batch is a list of their places. Its input slots hold such
/// lists, int32 [B]; a step on one of them is run on
/// <see cref="FirstSlot"/> plus its number. Rows come in by pieces of page-locked memory, two for each of the threads
/// that read, which may upload at once. Other members are for one thread at a time.</summary>
interface IRowPool : IInputSlots
{
    /// <summary>What the backend calls the pool's slot 0; those before it are its own.</summary>
    const int FirstSlot = 2;

    PoolPlan Plan { get; }

    /// <summary>Memory to read rows into, [<see cref="PoolPlan.PieceRows"/>, row] in the input's own type; waits until
    /// its last upload is over.</summary>
    /// <param name="piece">0 to 2 · <see cref="PoolPlan.Readers"/> − 1.</param>
    Span<byte> Piece(int piece);

    /// <summary>The uploads that follow overwrite rows: they run after the steps that have begun.</summary>
    void BeginFill();

    /// <summary>Copies the first rows of a piece into the pool, without waiting.</summary>
    /// <param name="place">Of the first of them.</param>
    void Upload(int piece, long place, int rows);

    /// <summary>Steps that begin from now on run after the uploads so far.</summary>
    void EndFill();

    /// <summary>Waits for all uploads.</summary>
    void Drain();
}
