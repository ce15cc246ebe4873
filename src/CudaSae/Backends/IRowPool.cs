namespace CudaSae.Backends;

/// <summary>A pool of the data's rows on the device: a batch is a list of their places. The pool's input slots hold
/// such lists, int32 [B]; a step on one of them uses slot number <see cref="FirstSlot"/> plus its number. Rows are
/// uploaded in pieces of page-locked memory, two for each reading thread; the threads may upload concurrently. One
/// thread at a time may use the other members.</summary>
interface IRowPool : IInputSlots
{
    /// <summary>The backend's number of the pool's slot 0; lower numbers are the backend's input slots.</summary>
    const int FirstSlot = 2;

    PoolPlan Plan { get; }

    /// <summary>Returns memory for rows, [<see cref="PoolPlan.PieceRows"/>, row], in the input's element type; waits
    /// for its last upload.</summary>
    /// <param name="piece">0 to 2 · <see cref="PoolPlan.Readers"/> − 1.</param>
    Span<byte> Piece(int piece);

    /// <summary>Announces uploads that overwrite rows; they run after the steps that have already started.</summary>
    void BeginFill();

    /// <summary>Copies the first rows of a piece into the pool, without waiting.</summary>
    /// <param name="piece">The piece.</param>
    /// <param name="place">Place of the first row in the pool.</param>
    /// <param name="rows">Number of rows.</param>
    void Upload(int piece, long place, int rows);

    /// <summary>Makes steps that start from now on run after the uploads so far.</summary>
    void EndFill();

    /// <summary>Waits for all uploads.</summary>
    void Drain();
}
