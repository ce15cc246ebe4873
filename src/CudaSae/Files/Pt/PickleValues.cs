namespace CudaSae.Files.Pt;

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
