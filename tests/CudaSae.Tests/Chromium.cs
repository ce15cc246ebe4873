using System.Diagnostics;
using System.Net;
using System.Text.RegularExpressions;

namespace CudaSae.Tests;

/// <summary>A browser without a window. Where there is none, tests that need it are skipped by name.</summary>
static partial class Chromium
{
    static readonly string? Program = new[] { "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome" }.FirstOrDefault(File.Exists);

    public static bool IsHere => Program is not null;
    public const string Missing = "no chromium here";

    /// <summary>Opens a page with one more script at its end, which leaves lines in data-seen of the root, and reads them and the page's own data-errors.</summary>
    /// <param name="profile">An empty folder for the browser.</param>
    public static (string Errors, string[] Seen) Drive(string page, string script, string profile)
    {
        // The page's policy allows its own script only.
        var html = PolicyTag().Replace(File.ReadAllText(page), "", 1).Replace("</body>", $"<script>{File.ReadAllText(script)}</script>\n</body>");
        File.WriteAllText(page, html);
        var (code, dom, error) = CliProgram.Run(new(Program!, ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", $"--user-data-dir={profile}", "--virtual-time-budget=20000", "--window-size=1200,900", "--dump-dom", new Uri(page).AbsoluteUri])
        { RedirectStandardOutput = true, RedirectStandardError = true });
        if (code != 0) throw new InvalidOperationException($"chromium ended with {code}: {error}");
        return (Attribute(dom, "errors"), Attribute(dom, "seen").Split('\n'));
    }

    static string Attribute(string dom, string name)
    {
        var root = dom[dom.IndexOf("<html", StringComparison.Ordinal)..dom.IndexOf("<head", StringComparison.Ordinal)];
        return WebUtility.HtmlDecode(Regex.Match(root, $"data-{name}=\"([^\"]*)\"").Groups[1].Value);
    }

    [GeneratedRegex("<meta http-equiv=\"Content-Security-Policy\"[^>]*>")]
    private static partial Regex PolicyTag();
}
