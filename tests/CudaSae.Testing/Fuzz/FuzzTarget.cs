namespace CudaSae.Testing.Fuzz;

/// <summary>A valid file that inputs are made from, and how it is read.</summary>
/// <param name="Structure">Null for bytes alone.</param>
/// <param name="Read">Reads an input to the end: header, and a look at the data where the reader gives any.</param>
/// <param name="BytesBeside">Of the files that are read with it and stay as they are.</param>
sealed record FuzzCase(byte[] Valid, Structure? Structure, Action<byte[]> Read, long BytesBeside = 0);

/// <summary>A parser under test.</summary>
/// <param name="Words">What a mutation may put in: names, types, opcodes.</param>
sealed record FuzzTarget(string Name, FuzzCase[] Cases, byte[][] Words)
{
    byte[][] Others => field ??= [.. Cases.Select(c => c.Valid)];

    /// <summary>Input number <paramref name="number"/> of a seed, and how it is read. The first inputs are the valid
    /// files.</summary>
    public (FuzzCase Case, byte[] Bytes) Input(long seed, long number)
    {
        if (number < Cases.Length) return (Cases[number], Cases[number].Valid);
        var random = new FuzzRandom(Name, seed, number);
        var chosen = random.Of(Cases);
        var structure = chosen.Structure is not null && !random.OneIn(3) ? chosen.Structure : ByteMutator.Mutate;
        return (chosen, structure(random, chosen.Valid, Words, Others));
    }
}
