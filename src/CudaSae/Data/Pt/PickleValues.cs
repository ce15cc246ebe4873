namespace CudaSae.Data.Pt;

// What a pickle may hold. None, bool, long, BigInteger, double, string and byte[] stand for themselves.

sealed record PickleTuple(object?[] Items);

sealed record PickleList(List<object?> Items);

/// <summary>A dict or OrderedDict: pairs in the order of their writing, a key twice if it was written twice.</summary>
sealed record PickleDict(List<(object? Key, object? Value)> Items);

/// <summary>A module's member, by name only.</summary>
sealed record PickleGlobal(string Name);

/// <summary>torch's storage: bytes of member data/KEY.</summary>
/// <param name="Type">In safetensors' words.</param>
sealed record PickleStorage(string Type, string Key, long Elements);

/// <summary>A view of a storage; offset and strides in elements, as read.</summary>
sealed record PickleTensor(PickleStorage Storage, long Offset, long[] Shape, long[] Strides);

/// <summary>numpy's type of a scalar: '&lt;' is understood unless BUILD says otherwise.</summary>
sealed record NumpyType(string Code);

/// <summary>What a pickle may still allocate. Charged before anything is made, so that a small file cannot unfold into a large one.</summary>
sealed class PickleBudget(long fileBytes, Func<string, SaeException> bad)
{
    const long Floor = 16 << 20;        // so that small files may hold more text than tensors
    long left = 4 * fileBytes + Floor;

    /// <exception cref="SaeException">Contents exceed four times the file.</exception>
    public void Charge(long bytes)
    {
        if ((left -= bytes) < 0) throw bad("its pickle unfolds to more than four times the file's size; it is damaged or made to exhaust memory");
    }
}
