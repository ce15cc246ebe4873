using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The entries of a row of the code, and the gathers of their decoder rows.</summary>
sealed unsafe class CodeRows : CpuPart
{
    readonly int* index, rowCount;
    readonly float* value, valueGrad, wDec;
    readonly byte* level;
    readonly bool paired;

    public CodeRows(CpuContext context) : base(context)
    {
        var buffers = context.Buffers;
        index = buffers.Index;
        rowCount = buffers.RowCount;
        value = buffers.Value;
        valueGrad = buffers.ValueGrad;
        wDec = buffers.WDec;
        level = buffers.Level;
        paired = context.Paired;
    }

    /// <summary>Lists the entries of a row that matter: those that fire, and with a threshold those near it.</summary>
    /// <param name="entries">[k].</param>
    public (int Count, int Active) List(int b, int* entries)
    {
        int count = 0, active = 0;
        for (var j = 0; j < rowCount[b]; j++)
        {
            var entry = b * k + j;
            valueGrad[entry] = 0;
            if (value[entry] != 0) active++;
            if (value[entry] != 0 || paired) entries[count++] = entry;
        }
        return (count, active);
    }

    /// <summary>Lists the entries of one level. Returns their number.</summary>
    public int ListLevel(int m, int* entries, int count, int* ofLevel)
    {
        var size = 0;
        for (var j = 0; j < count; j++)
            if (level is null || level[entries[j]] == m) ofLevel[size++] = entries[j];
        return size;
    }

    /// <summary>to += Σ factor · WDec[index].</summary>
    public void Add(float* to, int* entries, int count, float* factor)
    {
        var j = 0;
        for (; j + 4 <= count; j += 4)
            Rows.Add4(to, factor[entries[j]], Decoder(entries[j]), factor[entries[j + 1]],
                Decoder(entries[j + 1]), factor[entries[j + 2]], Decoder(entries[j + 2]), factor[entries[j + 3]],
                Decoder(entries[j + 3]), lo);
        for (; j < count; j++) Rows.Add(to, factor[entries[j]], Decoder(entries[j]), lo);
    }

    /// <summary>gradient = 2c ⟨e, WDec[index]⟩.</summary>
    public void Gradients(float* e, int* entries, int count, float* gradient)
    {
        var scale = 2 * step.Scalars.LossScale;
        var j = 0;
        for (; j + 4 <= count; j += 4)
        {
            var (g0, g1, g2, g3) = Rows.Dot4(e, Decoder(entries[j]), Decoder(entries[j + 1]),
                Decoder(entries[j + 2]), Decoder(entries[j + 3]), lo);
            gradient[entries[j]] = scale * g0;
            gradient[entries[j + 1]] = scale * g1;
            gradient[entries[j + 2]] = scale * g2;
            gradient[entries[j + 3]] = scale * g3;
        }
        for (; j < count; j++) gradient[entries[j]] = Gradient(e, entries[j]);
    }

    /// <summary>2c ⟨e, WDec[index]⟩ of one entry.</summary>
    public float Gradient(float* e, int entry) =>
        2 * step.Scalars.LossScale * Rows.Dot(e, Decoder(entry), lo);

    float* Decoder(int entry) => wDec + (long)index[entry] * lo;
}
