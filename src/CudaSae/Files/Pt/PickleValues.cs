namespace CudaSae.Files.Pt;

// These are the values of a pickle. None, bool, long, BigInteger, double, string and byte[] are represented by
// themselves.

sealed record PickleTuple(object?[] Items);

sealed record PickleList(List<object?> Items);

/// <summary>A dict or OrderedDict: its pairs in the order in which they were written. A key that was written twice
/// occurs twice.</summary>
sealed record PickleDict(List<(object? Key, object? Value)> Items);

/// <summary>The name of a member of a module.</summary>
sealed record PickleGlobal(string Name);

/// <summary>A storage of torch: the bytes of member data/KEY.</summary>
/// <param name="Type">Element type, by its safetensors name.</param>
sealed record PickleStorage(string Type, string Key, long Elements);

/// <summary>A view of a storage. Offset and strides are in elements, as they were read.</summary>
sealed record PickleTensor(PickleStorage Storage, long Offset, long[] Shape, long[] Strides);

/// <summary>numpy's type of a scalar. It is little-endian ('&lt;') unless BUILD sets another byte order.</summary>
sealed record NumpyType(string Code);
