using System.IO.Compression;
using System.Net;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using CudaSae.Files;

namespace CudaSae.Lab.Report;

/// <summary>Writes chapters as one HTML file that holds its styles, drawing code and numbers, and makes no network
/// requests. The files in Page/ are its parts.</summary>
static class ReportPage
{
    /// <summary>Files that the other parts of the page depend on. They come first, in this order.</summary>
    static readonly string[] First = ["page.js", "numbers.js", "colours.js", "axes.js"];

    /// <summary>JSON longer than this is written compressed.</summary>
    const int PlainBytes = 200_000;

    /// <param name="path">The HTML file, which is written whole or not at all.</param>
    /// <param name="title">The heading.</param>
    /// <param name="chapters">The chapters, shown in the order of <see cref="Chapter.Order"/>.</param>
    /// <param name="blobs">The bytes of each panel, by its name in lower-case letters, digits and dashes. The page
    /// shows a panel if its blob is present.</param>
    /// <exception cref="SaeException">The file cannot be written.</exception>
    public static void Write(string path, string title, IReadOnlyList<Chapter> chapters,
        IReadOnlyDictionary<string, byte[]>? blobs = null) =>
        AtomicFile.Write(path, stream => Write(stream, title, chapters, blobs));

    /// <summary>The page as text.</summary>
    /// <param name="live">Whether <c>live.js</c> fetches newer chapters from a server. Such a page may connect to its
    /// own origin only.</param>
    public static string Html(string title, IReadOnlyList<Chapter> chapters,
        IReadOnlyDictionary<string, byte[]>? blobs = null, bool live = false)
    {
        using var stream = new MemoryStream();
        Write(stream, title, chapters, blobs, live);
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    static void Write(Stream stream, string title, IReadOnlyList<Chapter> chapters,
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
        WriteChapters(text, [.. chapters.OrderBy(s => s.Order)]);
        foreach (var (name, bytes) in blobs ?? new Dictionary<string, byte[]>()) WriteBlob(text, name, bytes);
        text.WriteLine($"<script>{script}</script>\n</body>\n</html>");
    }

    /// <summary>The content security policy. Only the page's own script may run, which its hash identifies, so that
    /// text in the data cannot run as a script. A page that is not live fetches nothing.</summary>
    static string Policy(string script, bool live) =>
        "default-src 'none'; script-src "
            + $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script)))}'; style-src "
            + "'unsafe-inline'; img-src data: blob:; "
        + $"connect-src {(live ? "'self'" : "'none'")}; base-uri 'none'; form-action 'none'";

    /// <summary>Writes the chapters. The serializer escapes &lt;, &gt; and &amp;, so that no text can end its
    /// element.</summary>
    static void WriteChapters(TextWriter text, Chapter[] chapters)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(chapters, ReportJson.Default.ChapterArray);
        if (json.Length > PlainBytes) WriteCompressed(text, "chapters", json);
        else
            text.WriteLine("<script type=\"application/json\" "
                + $"id=\"chapters\">{Encoding.UTF8.GetString(json)}</script>");
    }

    static void WriteBlob(TextWriter text, string name, byte[] bytes)
    {
        if (name.Length == 0 || name.Any(c => !char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c != '-'))
            throw new SaeException($"'{name}' is not the name of a blob: it must consist of lower-case letters, digits "
                + "and dashes");
        WriteCompressed(text, $"blob-{name}", bytes);
    }

    /// <summary>Writes bytes as gzip in base64. The page inflates them when it needs them.</summary>
    static void WriteCompressed(TextWriter text, string id, byte[] bytes)
    {
        using var memory = new MemoryStream();
        using (var gzip = new GZipStream(memory, CompressionLevel.Optimal, leaveOpen: true)) gzip.Write(bytes);
        text.Write($"<script type=\"text/plain\" id=\"{id}\">");
        const int chunk = 3 << 16;      // a multiple of three bytes, so that the base64 pieces join
        for (var at = 0; at < memory.Length; at += chunk)
            text.Write(Convert.ToBase64String(memory.GetBuffer(), at, (int)Math.Min(chunk, memory.Length - at)));
        text.WriteLine("</script>");
    }

    /// <summary>All embedded files with an extension, one after the other.</summary>
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
            : throw new SaeException("this build does not contain the page; make the report with the cudasae "
                + "program");
    }
}
