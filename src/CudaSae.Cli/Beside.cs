using System.CommandLine;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>--beside of the commands that look at an SAE: the rows of a transcoder's target, or of a crosscoder's further sites, next to those of the files that are named.</summary>
static class Beside
{
    public static Option<string[]> Option() => new("--beside")
    {
        Description = "file or folder with the same rows of another site: a transcoder's target, or a crosscoder's further sites; repeatable. A run's own rows need none",
    };

    /// <summary>Refuses rows that an SAE does not take. Files that hold a transcoder's input and target, or all sites, side by side in each row are taken as they are.</summary>
    /// <param name="path">Of the SAE, for messages.</param>
    /// <param name="named">Files of the input, or of the first site.</param>
    /// <param name="widths">Of the files, then of each of those beside them.</param>
    /// <exception cref="SaeException">Files are missing or too many, or one is too wide or too narrow; says which.</exception>
    public static void Check(string path, SaeSpec spec, string[] named, string[] beside, int[] widths)
    {
        var sites = SitesOf(spec);
        if (sites.Length == 1 && beside.Length > 0) throw new SaeException($"--beside: {path} has no target of its own and no further sites; leave it out");
        if (beside.Length == 0 && widths[0] == sites.Sum()) return;
        var what = spec.Transcoder is null ? $"a crosscoder of {sites.Length} sites" : "a transcoder";
        if (beside.Length != sites.Length - 1)
            throw new SaeException(spec.Transcoder is null ? $"{path} is {what}, {string.Join(" and ", sites)} wide: name the files of the first one, and each of the others with --beside"
                : $"{path} is {what}, from {sites[0]} to {sites[1]} numbers a row: name the files of its input, and one file or folder of its target with --beside");
        for (var site = 0; site < sites.Length; site++)
            if (widths[site] != sites[site])
                throw new SaeException($"{(site == 0 ? named[0] : beside[site - 1])} is {widths[site]} wide, but {(sites.Length == 1 ? "the SAE" : Side(spec, site))} of {path} {(sites.Length == 1 ? "takes" : "has")} {sites[site]}");
    }

    /// <summary>Why an SAE of several sites cannot be looked at without files; null for one of a single site.</summary>
    public static string? Missing(SaeSpec spec) => SitesOf(spec).Length == 1 ? null : spec.Transcoder is null ? "those of its first site, and each of the others with --beside" : "those of its input, and of its target with --beside";

    static string Side(SaeSpec spec, int site) => spec.Transcoder is null ? $"site {site + 1}" : site == 0 ? "the input" : "the target";

    /// <summary>Widths of what stands side by side in a row of data.</summary>
    static int[] SitesOf(SaeSpec spec) => spec.Transcoder is { } transcoder ? [spec.InputWidth, transcoder.OutputWidth] : spec.Sites ?? [spec.InputWidth];
}
