namespace CudaSae.Lab.Insight;

/// <summary>How many activations lie in which tenth of a decade: of all latents together, and of chosen ones.</summary>
/// <param name="chosen">Latents that are counted by themselves.</param>
sealed class ActivationHistogram(int[] chosen) : ICodeVisitor
{
    const int PerDecade = 10, From = -4, To = 4, Count = (To - From) * PerDecade;

    readonly Dictionary<int, int> placeOf = Enumerable.Range(0, chosen.Length).ToDictionary(i => chosen[i]);
    readonly long[][] counts = [.. Enumerable.Range(0, chosen.Length + 1).Select(_ => new long[Count])];

    /// <summary>Ends of the bins: 10⁻⁴ to 10⁴. What lies outside is counted in the first or the last bin.</summary>
    public static float[] Edges { get; } = [.. Enumerable.Range(0, Count + 1)
        .Select(i => (float)Math.Pow(10, From + (double)i / PerDecade))];

    /// <summary>Of a chosen latent, by its place among them.</summary>
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
