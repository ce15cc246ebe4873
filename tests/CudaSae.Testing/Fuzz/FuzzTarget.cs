namespace CudaSae.Testing.Fuzz;

/// <summary>A valid file from which inputs are made, and its reader.</summary>
/// <param name="Structure">Mutation of the format's structure; null to mutate bytes alone.</param>
/// <param name="Read">Reads an input to the end: the header, and part of the data where the reader provides
/// data.</param>
/// <param name="BytesBeside">Size of the files that are read with the input and do not change.</param>
sealed record FuzzCase(byte[] Valid, Structure? Structure, Action<byte[]> Read, long BytesBeside = 0);

/// <summary>A parser under test.</summary>
/// <param name="Words">Words that a mutation may insert: names, types, opcodes.</param>
sealed record FuzzTarget(string Name, FuzzCase[] Cases, byte[][] Words)
{
    byte[][] Others => field ??= [.. Cases.Select(c => c.Valid)];

    /// <summary>Returns input number <paramref name="number"/> of a seed, and its reader. The first inputs are the
    /// valid files.</summary>
    public (FuzzCase Case, byte[] Bytes) Input(long seed, long number)
    {
        if (number < Cases.Length) return (Cases[number], Cases[number].Valid);
        var random = new FuzzRandom(Name, seed, number);
        var chosen = random.Of(Cases);
        var structure = chosen.Structure is not null && !random.OneIn(3) ? chosen.Structure : ByteMutator.Mutate;
        return (chosen, structure(random, chosen.Valid, Words, Others));
    }
}
