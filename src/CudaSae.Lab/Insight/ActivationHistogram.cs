namespace CudaSae.Lab.Insight;

/// <summary>Counts activations by tenths of a decade, over all latents together and for each chosen latent.</summary>
/// <param name="chosen">Latents with separate counts.</param>
sealed class ActivationHistogram(int[] chosen) : ICodeVisitor
{
    const int PerDecade = 10, From = -4, To = 4, Count = (To - From) * PerDecade;

    readonly Dictionary<int, int> placeOf = Enumerable.Range(0, chosen.Length).ToDictionary(i => chosen[i]);
    readonly long[][] counts = [.. Enumerable.Range(0, chosen.Length + 1).Select(_ => new long[Count])];

    /// <summary>Edges of the bins, 10⁻⁴ to 10⁴. Values outside count in the first or the last bin.</summary>
    public static float[] Edges { get; } = [.. Enumerable.Range(0, Count + 1)
        .Select(i => (float)Math.Pow(10, From + (double)i / PerDecade))];

    /// <summary>The counts of a chosen latent, by its index in the list of chosen latents.</summary>
    public long[] Of(int place) => counts[place];
    public long[] OfAll => counts[^1];

    public void Visit(in CodeBatch batch)
    {
        var index = batch.Codes.AllIndices;
        var value = batch.Codes.AllValues;
        for (var j = 0; j < index.Length; j++)
        {
            var bin = Histograms.BinOf(Math.Abs(value[j]), Edges);
            counts[^1][bin]++;
            if (placeOf.TryGetValue(index[j], out var place)) counts[place][bin]++;
        }
    }
}
