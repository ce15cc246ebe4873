using System.Text.RegularExpressions;

namespace CudaSae.Testing.Processes;

/// <summary>A Chromium on this machine that opens pages without a window. Without one such tests are skipped by
/// name.</summary>
static class Browser
{
    const string Program = "/usr/bin/chromium";

    public static bool IsHere => File.Exists(Program);

    public const string Missing = "no /usr/bin/chromium here";

    /// <summary>The document after its scripts have run, as markup. Pages have no network.</summary>
    public static string Dom(string page, int width = 1280)
    {
        var profile = Directory.CreateTempSubdirectory("cudasae-browser");
        try
        {
            string[] arguments =
            [
                Program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                $"--user-data-dir={profile.FullName}", "--virtual-time-budget=20000", $"--window-size={width},1600",
                "--dump-dom", new Uri(page).AbsoluteUri,
            ];
            var (code, output, error) =
                CliProgram.Run(new("/usr/bin/timeout", ["120", .. arguments])
                {
                    RedirectStandardOutput = true,
                    RedirectStandardError = true
                });
            return code == 0 && output.Contains("<html") ? output
                : throw new InvalidOperationException($"{Program} ended with {code}: {error}");
        }
        finally { profile.Delete(recursive: true); }
    }

    /// <summary>What the page wrote down about itself: data-NAME of its root.</summary>
    public static string? Said(string dom, string name) =>
        Regex.Match(dom, $"<html[^>]* data-{name}=\"([^\"]*)\"") is { Success: true } match ? match.Groups[1].Value
            : null;
}
