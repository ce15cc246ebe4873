namespace CudaSae.Files.Pt;

/// <summary>The memory that a pickle may still allocate. It is charged before each allocation, so that a small file
/// cannot unfold into a large one.</summary>
sealed class PickleBudget(long fileBytes, Func<string, SaeException> bad)
{
    const long Floor = 16 << 20;        // allowance for small files, which may hold more text than tensors
    long left = 4 * fileBytes + Floor;

    /// <summary>Charges an allocation.</summary>
    /// <exception cref="SaeException">The contents exceed four times the file's size.</exception>
    public void Charge(long bytes)
    {
        if ((left -= bytes) < 0)
            throw bad("its pickle unfolds to more than four times the file's size; it is damaged or made to exhaust "
                + "memory");
    }
}
