using System.CommandLine;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>The option --beside of the commands that evaluate an SAE. It names the rows of a transcoder's target, or of
/// a crosscoder's further sites, that accompany the named files.</summary>
static class Beside
{
    /// <param name="severalEach">Whether several files may follow one --beside.</param>
    public static Option<string[]> Option(bool severalEach = false) => new("--beside")
    {
        Description = "file or folder with the same rows of another site: a transcoder's target, "
            + "or a crosscoder's further sites; repeatable; not needed for a run's own rows",
        AllowMultipleArgumentsPerToken = severalEach,
    };

    /// <summary>Refuses rows that an SAE does not take. Accepts files that hold a transcoder's input and target, or all
    /// sites, side by side in each row.</summary>
    /// <param name="path">Path of the SAE, for messages.</param>
    /// <param name="named">Files of the input, or of the first site.</param>
    /// <param name="widths">Widths of the files, then of each of those beside them.</param>
    /// <exception cref="SaeException">Files are missing, there are too many, or one has another width. The message
    /// names the file.</exception>
    public static void Check(string path, SaeSpec spec, string[] named, string[] beside, int[] widths)
    {
        var sites = SitesOf(spec);
        if (sites.Length == 1 && beside.Length > 0)
            throw new SaeException($"--beside: {path} has neither a target nor further sites; leave it out");
        if (beside.Length == 0 && widths[0] == sites.Sum()) return;
        if (beside.Length != sites.Length - 1) throw new SaeException(Wanted(path, spec, sites));
        for (var site = 0; site < sites.Length; site++)
            if (widths[site] != sites[site])
                throw new SaeException($"{(site == 0 ? named[0] : beside[site - 1])} is {widths[site]} wide, but "
                    + $"{Side(spec, site)} of {path} has {sites[site]}");
    }

    /// <summary>Names the files that an SAE of several sites needs; null for an SAE of a single site.</summary>
    public static string? Missing(SaeSpec spec) => SitesOf(spec).Length == 1 ? null
        : spec.Transcoder is not null ? "those of its input, and of its target with --beside"
        : "those of its first site, and each of the others with --beside";

    static string Wanted(string path, SaeSpec spec, int[] sites) => spec.Transcoder is not null
        ? $"{path} is a transcoder, from {sites[0]} to {sites[1]} numbers a row: name the files of its input, "
            + "and one file or folder of its target with --beside"
        : $"{path} is a crosscoder of {sites.Length} sites, {string.Join(" and ", sites)} wide: "
            + "name the files of the first one, and each of the others with --beside";

    static string Side(SaeSpec spec, int site) => spec switch
    {
        { Transcoder: not null } => site == 0 ? "the input" : "the target",
        { Sites.Length: > 1 } => $"site {site + 1}",
        _ => "the input",
    };

    /// <summary>Widths of the parts that stand side by side in a row of data.</summary>
    static int[] SitesOf(SaeSpec spec) =>
        spec.Transcoder is { } transcoder ? [spec.InputWidth, transcoder.OutputWidth] : spec.Sites ?? [spec.InputWidth];
}
