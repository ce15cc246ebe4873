using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>The first nested reconstruction that holds each entry of the code.</summary>
sealed unsafe class EntryLevels(CpuContext context) : CpuPart(context)
{
    readonly int* index = context.Buffers.Index;
    readonly byte* level = context.Buffers.Level;

    /// <summary>Sets the levels of a row's entries: by their rank in the row (budgets), or by the latent's place among
    /// the prefixes.</summary>
    public void Set(int b, ulong* keys, int count)
    {
        for (var j = 0; j < count; j++)
            level[b * k + j] = (byte)(spec.Nested is Nesting.Budgets budgets
                ? LevelOf(budgets, keys, count, keys[j]) : step.LevelOf(index[b * k + j]));
    }

    static int LevelOf(Nesting.Budgets budgets, ulong* keys, int count, ulong key)
    {
        var rank = 0;
        for (var other = 0; other < count; other++)
            if (keys[other] > key) rank++;
        var m = 0;
        while (rank >= budgets.Ks[m]) m++;
        return m;
    }
}
