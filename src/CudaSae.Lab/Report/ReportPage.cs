using System.IO.Compression;
using System.Net;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using CudaSae.Files;

namespace CudaSae.Lab.Report;

/// <summary>Sections as one HTML file that needs nothing else: styles, drawing code and numbers stand in it, and it
/// asks no network for anything. The files of Page/ are its parts.</summary>
static class ReportPage
{
    /// <summary>What other parts of the page are built on: these files come first, in this order.</summary>
    static readonly string[] First = ["page.js", "numbers.js", "colours.js", "axes.js"];

    /// <summary>JSON longer than this is written compressed.</summary>
    const int PlainBytes = 200_000;

    /// <param name="path">Of the HTML file; written whole or not at all.</param>
    /// <param name="title">Its heading.</param>
    /// <param name="sections">Shown in order of <see cref="Section.Order"/>.</param>
    /// <param name="blobs">Bytes for the page's panels by their names in lower-case letters, digits and dashes; a panel
    /// is shown when its blob is there.</param>
    /// <exception cref="SaeException">The file cannot be written.</exception>
    public static void Write(string path, string title, IReadOnlyList<Section> sections,
        IReadOnlyDictionary<string, byte[]>? blobs = null) =>
        AtomicFile.Write(path, stream => Write(stream, title, sections, blobs));

    /// <summary>The page as text.</summary>
    /// <param name="live">Whether a server stands behind it that <c>live.js</c> asks for newer sections; such a page
    /// may connect to where it came from, and only there.</param>
    public static string Html(string title, IReadOnlyList<Section> sections,
        IReadOnlyDictionary<string, byte[]>? blobs = null, bool live = false)
    {
        using var stream = new MemoryStream();
        Write(stream, title, sections, blobs, live);
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    static void Write(Stream stream, string title, IReadOnlyList<Section> sections,
        IReadOnlyDictionary<string, byte[]>? blobs, bool live = false)
    {
        using var text = new StreamWriter(stream, new UTF8Encoding(false), 1 << 16, leaveOpen: true) { NewLine = "\n" };
        var script = Part(".js");
        text.WriteLine("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
        text.WriteLine($"<meta http-equiv=\"Content-Security-Policy\" content=\"{Policy(script, live)}\">");
        text.WriteLine("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta "
            + "name=\"referrer\" content=\"no-referrer\">\n<link rel=\"icon\" href=\"data:,\">");
        text.WriteLine($"<title>{WebUtility.HtmlEncode(title)}</title>\n<style>\n{Part(".css")}</style>\n</head>");
        text.WriteLine($"<body{(live ? " data-live=\"1\"" : "")}>\n<header "
            + $"id=\"top\"><h1>{WebUtility.HtmlEncode(title)}</h1></header>");
        text.WriteLine("<noscript>This report draws its figures with the script that it contains; allow scripts to see "
            + "them.</noscript>\n<nav id=\"contents\"></nav>\n<main id=\"report\"></main>");
        WriteSections(text, [.. sections.OrderBy(s => s.Order)]);
        foreach (var (name, bytes) in blobs ?? new Dictionary<string, byte[]>()) WriteBlob(text, name, bytes);
        text.WriteLine($"<script>{script}</script>\n</body>\n</html>");
    }

    /// <summary>Only the page's own script runs, known by its hash, so that a text of the data cannot become one;
    /// nothing is fetched from anywhere.</summary>
    static string Policy(string script, bool live) =>
        "default-src 'none'; script-src "
            + $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script)))}'; style-src "
            + "'unsafe-inline'; img-src data: blob:; "
        + $"connect-src {(live ? "'self'" : "'none'")}; base-uri 'none'; form-action 'none'";

    /// <summary>The serializer escapes &lt;, &gt; and &amp;, so that no text ends the element it stands in.</summary>
    static void WriteSections(TextWriter text, Section[] sections)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(sections, ReportJson.Default.SectionArray);
        if (json.Length > PlainBytes) WriteCompressed(text, "sections", json);
        else
            text.WriteLine("<script type=\"application/json\" "
                + $"id=\"sections\">{Encoding.UTF8.GetString(json)}</script>");
    }

    static void WriteBlob(TextWriter text, string name, byte[] bytes)
    {
        if (name.Length == 0 || name.Any(c => !char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c != '-'))
            throw new SaeException($"'{name}' is no name of a blob: it must consist of lower-case letters, digits and "
                + "dashes");
        WriteCompressed(text, $"blob-{name}", bytes);
    }

    /// <summary>gzip, then base64: the page inflates it when it is needed.</summary>
    static void WriteCompressed(TextWriter text, string id, byte[] bytes)
    {
        using var memory = new MemoryStream();
        using (var gzip = new GZipStream(memory, CompressionLevel.Optimal, leaveOpen: true)) gzip.Write(bytes);
        text.Write($"<script type=\"text/plain\" id=\"{id}\">");
        const int chunk = 3 << 16;      // whole groups of three bytes, so that the pieces join
        for (var at = 0; at < memory.Length; at += chunk)
            text.Write(Convert.ToBase64String(memory.GetBuffer(), at, (int)Math.Min(chunk, memory.Length - at)));
        text.WriteLine("</script>");
    }

    /// <summary>All embedded files of a kind, one after the other.</summary>
    static string Part(string extension)
    {
        const string prefix = "page/";
        var assembly = Assembly.GetExecutingAssembly();
        var names = assembly.GetManifestResourceNames().Where(n => n.StartsWith(prefix, StringComparison.Ordinal)
            && n.EndsWith(extension, StringComparison.Ordinal));
        var text = new StringBuilder();
        foreach (var name in names.OrderBy(n => Array.IndexOf(First, n[prefix.Length..]) is >= 0 and var place ? place
            : First.Length)
            .ThenBy(n => n, StringComparer.Ordinal))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            text.Append(reader.ReadToEnd().ReplaceLineEndings("\n"));
        }
        return text.Length > 0 ? text.ToString()
            : throw new SaeException("this build of the engine carries no page; make the report with the cudasae "
                + "program");
    }
}
