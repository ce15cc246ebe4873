using CudaSae.Formats;
using CudaSae.Insight.Density;
using CudaSae.Report;

namespace CudaSae.Insight;

/// <summary>What can be said of an SAE without knowing what its latents mean: who fires how often and how strongly, where rows point, whether rare latents are a kind of their own.</summary>
public static class Diagnostics
{
    const int WidestCovariance = 2048;      // d² numbers, and d³ operations on them

    /// <summary>The same for a report: nothing where <c>cudasae inspect</c> left its chapters in the folder after the SAE was saved, mostly from more rows than a report looks at.</summary>
    public static IEnumerable<Section> Missing(Sae sae, RunSource source)
    {
        var isFile = File.Exists(source.Folder);
        var folder = isFile ? Path.GetDirectoryName(Path.GetFullPath(source.Folder))! : source.Folder;
        var saved = new FileInfo(Path.Combine(folder, Section.FolderName, $"{LatentFigures.Id}.json"));
        var written = isFile ? File.GetLastWriteTimeUtc(source.Folder) : new DirectoryInfo(folder).EnumerateFiles("*.safetensors").Select(f => f.LastWriteTimeUtc).DefaultIfEmpty().Max();
        return saved.Exists && saved.LastWriteTimeUtc >= written ? [] : Sections(sae, source);
    }

    /// <summary>Chapters about a loaded SAE over a source's rows; two passes, because the second needs what the first found. docs/diagnostics.md has the definitions.</summary>
    /// <param name="source">Its model is <paramref name="sae"/>'s. A run's density.bin gives a chapter too where there is one.</param>
    /// <param name="against">Other SAEs of the same activations, by name.</param>
    /// <exception cref="SaeException">Widths differ, a row holds NaN, or weights are not finite.</exception>
    public static IEnumerable<Section> Sections(Sae sae, RunSource source, params IReadOnlyList<(string Name, SaeModel Model)> against)
    {
        var command = $"cudasae inspect {source.Folder}";
        var statistics = new LatentStatistics(sae.Model);
        var input = new InputCoordinates(sae.InputWidth);
        CodePass.Run(sae, source.Data, source.FirstRow, source.Rows, statistics, input);
        var modes = DensityModes.Find(statistics.Firings, statistics.Rows);
        var cluster = RareFigures.Cluster(sae.Model, statistics, modes);
        var along = cluster is null ? null : new InputProjection(cluster.Direction);
        var chosen = LatentFigures.Chosen(statistics);
        var histogram = new ActivationHistogram([.. chosen.Select(c => c.Latent)]);
        var high = new HighActivations(sae.Model, statistics.Max);
        var covariance = cluster is null || sae.InputWidth > WidestCovariance ? null : new InputCovariance(input.Mean, source.Rows);
        ICodeVisitor[] second = [histogram, high, .. new ICodeVisitor?[] { along, covariance }.OfType<ICodeVisitor>()];
        CodePass.Run(sae, source.Data, source.FirstRow, source.Rows, second);
        yield return LatentFigures.Section(statistics, histogram, chosen, high) with { Command = command };
        yield return GeometryFigures.Section(sae.Model, new(sae.Model), statistics) with { Command = command };
        yield return RareFigures.Section(sae.Model, statistics, modes, cluster, input, along, covariance) with { Command = command };
        foreach (var (name, other) in against) yield return ComparisonFigures.Section(sae.Model, other, name) with { Command = $"{command} --against {name}" };
        if (DensityFigures.Section(source.Folder) is { } overTraining) yield return overTraining with { Command = "cudasae train --density-every N" };
    }
}
