using System.Buffers;
using System.Text;

namespace CudaSae.Cli.Watch;

/// <summary>The result of parsing a request: the status of the answer and, for 200, the path and whether the body is
/// left out.</summary>
readonly record struct HttpRequest(int Status, string Path = "", bool HeadOnly = false);

/// <summary>Parses the head of an HTTP/1 request (RFC 9112) strictly: it refuses what this server does not support
/// instead of guessing.</summary>
static class HttpHead
{
    /// <summary>Largest number of bytes of the request line and all fields, with the empty line at their end.</summary>
    public const int MostBytes = 8192;

    public const string Page = "/", Chapters = "/chapters.json", Events = "/events";

    static readonly SearchValues<byte> Token =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);
    static readonly SearchValues<byte> Visible =
        SearchValues.Create([.. Enumerable.Range(0x21, 0x5e).Select(i => (byte)i)]);
    static readonly SearchValues<byte> Control =
        SearchValues.Create([.. Enumerable.Range(0, 0x20).Where(i => i != '\t').Append(0x7f).Select(i => (byte)i)]);

    static ReadOnlySpan<byte> EndOfLine => "\r\n"u8;

    /// <summary>Returns the number of bytes up to and including the empty line; −1 if it has not arrived yet.</summary>
    public static int LengthOf(ReadOnlySpan<byte> received) =>
        received.IndexOf("\r\n\r\n"u8) is >= 0 and var at ? at + 4 : -1;

    /// <param name="head">Bytes up to and including the empty line.</param>
    /// <param name="port">Port of the server. The Host field must name it with 127.0.0.1 or localhost, so that a page
    /// of another name whose DNS entry points here reads nothing.</param>
    public static HttpRequest Parse(ReadOnlySpan<byte> head, int port)
    {
        if (head.Length > MostBytes) return new(431);
        if (!head.EndsWith("\r\n\r\n"u8)) return new(400);
        head = head[..^EndOfLine.Length];
        var line = NextLine(ref head);
        int first = line.IndexOf((byte)' '), last = line.LastIndexOf((byte)' ');
        if (first <= 0 || last <= first + 1) return new(400);
        ReadOnlySpan<byte> method = line[..first], target = line[(first + 1)..last], version = line[(last + 1)..];
        if (method.ContainsAnyExcept(Token) || target.ContainsAnyExcept(Visible)) return new(400);
        if (!version.SequenceEqual("HTTP/1.1"u8) && !version.SequenceEqual("HTTP/1.0"u8))
            return new(version.StartsWith("HTTP/"u8) ? 505 : 400);
        var status = Fields(head, port);
        if (status != 200) return new(status);
        var headOnly = method.SequenceEqual("HEAD"u8);
        if (!headOnly && !method.SequenceEqual("GET"u8)) return new(405);
        foreach (var path in (ReadOnlySpan<string>)[Page, Chapters, Events])
            if (Ascii.Equals(target, path)) return new(200, path, headOnly);
        return new(404);
    }

    /// <summary>Returns 200 if there is one correct Host field and no body.</summary>
    static int Fields(ReadOnlySpan<byte> fields, int port)
    {
        int hosts = 0, rightHosts = 0;
        while (fields.Length > 0)
        {
            var line = NextLine(ref fields);
            var colon = line.IndexOf((byte)':');
            // also refuses a continued line, which begins with a space
            if (colon <= 0 || line[..colon].ContainsAnyExcept(Token)) return 400;
            var value = line[(colon + 1)..].Trim(" \t"u8);
            if (value.ContainsAny(Control)) return 400;
            var name = line[..colon];
            if (Ascii.EqualsIgnoreCase(name, "transfer-encoding"u8)
                || Ascii.EqualsIgnoreCase(name, "content-length"u8) && !value.SequenceEqual("0"u8))
                return 400;
            if (!Ascii.EqualsIgnoreCase(name, "host"u8)) continue;
            hosts++;
            if (IsThisHost(value, port)) rightHosts++;
        }
        return hosts != 1 ? 400 : rightHosts == 1 ? 200 : 421;
    }

    static bool IsThisHost(ReadOnlySpan<byte> host, int port) =>
        Ascii.EqualsIgnoreCase(host, $"127.0.0.1:{port}") || Ascii.EqualsIgnoreCase(host, $"localhost:{port}")
        || port == 80 && (Ascii.EqualsIgnoreCase(host, "127.0.0.1") || Ascii.EqualsIgnoreCase(host, "localhost"));

    static ReadOnlySpan<byte> NextLine(ref ReadOnlySpan<byte> from)
    {
        var end = from.IndexOf(EndOfLine);
        var line = end < 0 ? from : from[..end];
        from = end < 0 ? [] : from[(end + EndOfLine.Length)..];
        return line;
    }
}
