using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>The first nested reconstruction that holds each entry of the code.</summary>
sealed unsafe class EntryLevels(CpuContext context) : CpuPart(context)
{
    readonly int* index = context.Buffers.Index;
    readonly byte* level = context.Buffers.Level;

    /// <summary>Sets the levels of a row's entries: by their order in the row (budgets), or by the latent's place among
    /// the prefixes.</summary>
    public void Set(int b, ulong* keys, int count)
    {
        for (var j = 0; j < count; j++)
            level[b * k + j] = (byte)(spec.Nested is Nesting.Budgets budgets
                ? LevelOf(budgets, keys, count, keys[j]) : step.LevelOf(firstLatent + index[b * k + j]));
    }

    static int LevelOf(Nesting.Budgets budgets, ulong* keys, int count, ulong key)
    {
        var larger = 0;
        for (var other = 0; other < count; other++)
            if (keys[other] > key) larger++;
        return LevelOf(budgets, larger);
    }

    /// <summary>The first budget that holds an entry.</summary>
    /// <param name="larger">Number of larger entries in the row.</param>
    public static int LevelOf(Nesting.Budgets budgets, int larger)
    {
        var m = 0;
        while (larger >= budgets.Ks[m]) m++;
        return m;
    }
}
