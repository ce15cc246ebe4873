using CudaSae.Formats;
using CudaSae.Lab.Insight.Density;
using CudaSae.Lab.Report;

namespace CudaSae.Lab.Insight;

/// <summary>What can be said of an SAE without knowing what its latents mean: who fires how often and how strongly,
/// where rows point, whether rare latents are a kind of their own.</summary>
static class Diagnostics
{
    const int WidestCovariance = 2048;      // d² numbers, and d³ operations on them

    /// <summary>Whether <c>cudasae inspect</c> left its chapters in the folder after the SAE was saved, mostly from
    /// more rows than a report looks at.</summary>
    public static bool AreSaved(RunSource source)
    {
        var isFile = File.Exists(source.Folder);
        var folder = isFile ? Path.GetDirectoryName(Path.GetFullPath(source.Folder))! : source.Folder;
        var saved = new FileInfo(Path.Combine(folder, Section.FolderName, $"{LatentFigures.Id}.json"));
        var written = isFile ? File.GetLastWriteTimeUtc(source.Folder)
            : new DirectoryInfo(folder).EnumerateFiles("*.safetensors").Select(f => f.LastWriteTimeUtc).DefaultIfEmpty()
                .Max();
        return saved.Exists && saved.LastWriteTimeUtc >= written;
    }

    /// <summary>Chapters about a loaded SAE over a source's rows. docs/guide/diagnostics.md has the
    /// definitions.</summary>
    /// <param name="source">Its model is <paramref name="sae"/>'s. A run's density.bin gives a chapter too where there
    /// is one.</param>
    /// <param name="against">Other SAEs of the same activations, by name.</param>
    /// <exception cref="SaeException">Widths differ, no row is finite, or weights are not.</exception>
    public static IEnumerable<Section> Sections(Sae sae, RunSource source,
        params IReadOnlyList<(string Name, SaeModel Model)> against)
    {
        var first = new DiagnosticPass(sae);
        return Sections(sae, source, first,
            CodePass.Run(sae, source.Data, source.FirstRow, source.Rows, first.Visitors), against);
    }

    /// <summary>The same behind a pass over the source's rows that was shared. A second one follows, because it needs
    /// what the first found.</summary>
    /// <param name="leftOut">What that pass returned.</param>
    public static IEnumerable<Section> Sections(Sae sae, RunSource source, DiagnosticPass first, long leftOut,
        params IReadOnlyList<(string Name, SaeModel Model)> against) =>
        Chapters(sae, source, first, leftOut).Select(chapter => chapter.Make())
            .Concat(against.Select(other => Against(sae, source, other.Name, other.Model))).OfType<Section>();

    /// <summary>The chapter about another SAE of the same activations.</summary>
    /// <exception cref="SaeException">Widths differ, or weights are not finite.</exception>
    public static Section Against(Sae sae, RunSource source, string name, SaeModel other) =>
        ComparisonFigures.Section(sae.Model, other, name) with
        {
            Command = $"cudasae inspect {source.Folder} --against {name}",
        };

    /// <summary>The same without other SAEs, each chapter to be made by itself, so that one that fails leaves the
    /// others. Null is made where there is nothing to show.</summary>
    public static IEnumerable<(string Title, Func<Section?> Make)> Chapters(
        Sae sae, RunSource source, DiagnosticPass first, long leftOut)
    {
        var command = $"cudasae inspect {source.Folder}";
        var (statistics, input) = (first.Statistics, first.Input);
        var modes = DensityModes.Find(statistics.Firings, statistics.Rows);
        var cluster = RareFigures.Cluster(sae.Model, statistics, modes);
        var along = cluster is null ? null : new InputProjection(cluster.Direction);
        var chosen = LatentFigures.Chosen(statistics);
        var histogram = new ActivationHistogram([.. chosen.Select(c => c.Latent)]);
        var high = new HighActivations(sae.Model, statistics.Max);
        var covariance = cluster is null || sae.InputWidth > WidestCovariance ? null
            : new InputCovariance(input.Mean, statistics.Rows);
        ICodeVisitor[] second = [histogram, high, .. new ICodeVisitor?[] { along, covariance }.OfType<ICodeVisitor>()];
        CodePass.Run(sae, source.Data, source.FirstRow, source.Rows, second);
        yield return ("Latents",
            () => By(command, LatentFigures.Section(statistics, histogram, chosen, high, leftOut)));
        yield return ("Geometry", () => By(command, GeometryFigures.Section(sae.Model, new(sae.Model), statistics)));
        yield return ("Ultralow density",
            () => By(command, RareFigures.Section(sae.Model, statistics, modes, cluster, input, along, covariance)));
        yield return ("Densities over training",
            () => By("cudasae train --density-every N", DensityFigures.Section(source.Folder)));

        static Section? By(string command, Section? made) => made is null ? null : made with { Command = command };
    }
}
