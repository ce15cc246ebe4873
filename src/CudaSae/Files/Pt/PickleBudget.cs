namespace CudaSae.Files.Pt;

/// <summary>What a pickle may still allocate. Charged before anything is made, so that a small file cannot unfold into
/// a large one.</summary>
sealed class PickleBudget(long fileBytes, Func<string, SaeException> bad)
{
    const long Floor = 16 << 20;        // so that small files may hold more text than tensors
    long left = 4 * fileBytes + Floor;

    /// <exception cref="SaeException">Contents exceed four times the file.</exception>
    public void Charge(long bytes)
    {
        if ((left -= bytes) < 0)
            throw bad("its pickle unfolds to more than four times the file's size; it is damaged or made to exhaust "
                + "memory");
    }
}
