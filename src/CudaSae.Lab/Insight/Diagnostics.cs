using CudaSae.Formats;
using CudaSae.Lab.Insight.Density;
using CudaSae.Lab.Report;

namespace CudaSae.Lab.Insight;

/// <summary>Diagnoses an SAE without labels for its latents: how often and how strongly they fire, in which directions
/// their rows point, and whether rare latents are a separate kind.</summary>
static class Diagnostics
{
    const int WidestCovariance = 2048;      // d² numbers, and d³ operations on them

    /// <summary>Whether <c>cudasae inspect</c> saved its chapters in the folder after the SAE was saved. They usually
    /// cover more rows than a report does.</summary>
    public static bool AreSaved(RunSource source)
    {
        var isFile = File.Exists(source.Folder);
        var folder = isFile ? Path.GetDirectoryName(Path.GetFullPath(source.Folder))! : source.Folder;
        var saved = new FileInfo(Path.Combine(folder, Chapter.FolderName, $"{LatentFigures.Id}.json"));
        var written = isFile ? File.GetLastWriteTimeUtc(source.Folder)
            : new DirectoryInfo(folder).EnumerateFiles("*.safetensors").Select(f => f.LastWriteTimeUtc).DefaultIfEmpty()
                .Max();
        return saved.Exists && saved.LastWriteTimeUtc >= written;
    }

    /// <summary>Makes the chapters about a loaded SAE over the rows of a source. docs/guide/diagnostics.md has the
    /// definitions.</summary>
    /// <param name="source">The source, whose model is that of <paramref name="sae"/>. If the run has a density.bin, it
    /// gives a chapter too.</param>
    /// <param name="against">Other SAEs of the same activations, by name.</param>
    /// <exception cref="SaeException">Widths differ, no row is finite, or weights are not.</exception>
    public static IEnumerable<Chapter> Chapters(Sae sae, RunSource source,
        params IReadOnlyList<(string Name, SaeModel Model)> against)
    {
        var first = new DiagnosticPass(sae);
        return Chapters(sae, source, first, CodePass.Run(sae, source.Rows, first.Visitors), against);
    }

    /// <summary>Makes the chapters after a shared pass over the source's rows. A second pass follows, because it needs
    /// the results of the first.</summary>
    /// <param name="leftOut">The number of left-out rows, which the pass returned.</param>
    public static IEnumerable<Chapter> Chapters(Sae sae, RunSource source, DiagnosticPass first, long leftOut,
        params IReadOnlyList<(string Name, SaeModel Model)> against) =>
        LazyChapters(sae, source, first, leftOut).Select(chapter => chapter.Make())
            .Concat(against.Select(other => Against(sae, source, other.Name, other.Model))).OfType<Chapter>();

    /// <summary>Makes the chapter about another SAE of the same activations.</summary>
    /// <exception cref="SaeException">Widths differ, or weights are not finite.</exception>
    public static Chapter Against(Sae sae, RunSource source, string name, SaeModel other) =>
        ComparisonFigures.Chapter(sae.Model, other, name) with
        {
            Command = $"cudasae inspect {source.Folder} --against {name}",
        };

    /// <summary>Runs the second pass and returns functions that make the chapters without other SAEs, so that a chapter
    /// that fails does not prevent the others. A function returns null if it has nothing to show.</summary>
    public static IEnumerable<(string Title, Func<Chapter?> Make)> LazyChapters(
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
        CodePass.Run(sae, source.Rows, second);
        yield return ("Latents",
            () => By(command, LatentFigures.Chapter(statistics, histogram, chosen, high, leftOut)));
        yield return ("Geometry", () => By(command, GeometryFigures.Chapter(sae.Model, new(sae.Model), statistics)));
        yield return ("Ultralow density",
            () => By(command, RareFigures.Chapter(sae.Model, statistics, modes, cluster, input, along, covariance)));
        yield return ("Densities over training",
            () => By("cudasae train --density-every N", DensityFigures.Chapter(source.Folder)));

        static Chapter? By(string command, Chapter? made) => made is null ? null : made with { Command = command };
    }
}
