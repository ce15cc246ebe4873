using System.Text;
using System.Text.RegularExpressions;
using CudaSae.Cli.Watch;

namespace CudaSae.Testing.Fuzz;

/// <summary>Requests to the server of train --watch. What it takes is held against the few requests there are, written
/// down a second time.</summary>
sealed partial class FuzzTargets
{
    const int Port = 6006;

    static FuzzTarget Http()
    {
        static byte[] Request(string line, params string[] fields) =>
            Encoding.Latin1.GetBytes(string.Join("\r\n", [line, .. fields, "", ""]));
        return new("http",
        [
            new(Request("GET / HTTP/1.1", "Host: 127.0.0.1:6006", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
                "Accept: text/html,*/*;q=0.8", "Accept-Encoding: gzip, deflate", "Connection: keep-alive"),
                null, ReadRequest),
            new(Request("GET /sections.json HTTP/1.1", "Host: localhost:6006", "Accept: */*",
                "Referer: http://localhost:6006/", "Content-Length: 0"),
                null, ReadRequest),
            new(Request("HEAD /events HTTP/1.0", "host:\t127.0.0.1:6006 "), null, ReadRequest),
        ],
        Words("\r\n", "\r\n\r\n", "\n", "\r", "GET ", "HEAD ", "POST ", " HTTP/1.1", "HTTP/2.0", "/", "/../",
            "/sections.json", "/events", "%2e%2e", "?a=1", "#", "http://127.0.0.1:6006/", "*",
            "Host: 127.0.0.1:6006\r\n", "Host: evil.example:6006\r\n", "host:",
            "127.0.0.1", "localhost", "LOCALHOST:6006", ":6006", ":6007", "127.0.0.1:6006.evil.example",
            "Content-Length: 1\r\n", "Content-Length: -0\r\n", "Transfer-Encoding: chunked\r\n", " folded\r\n", ": ",
            "\t", "\0", "\x7f", "\xff", "Accept: ", ", "));
    }

    static readonly Dictionary<int, string> Refusals = new()
    {
        [400] = "malformed", [404] = "no such path",
        [405] = "neither GET nor HEAD", [421] = "another host", [431] = "too long", [505] = "another version"
    };

    static void ReadRequest(byte[] bytes)
    {
        var length = HttpHead.LengthOf(bytes);
        var request = length > 0 ? HttpHead.Parse(bytes.AsSpan(0, length), Port)
            : new(bytes.Length > HttpHead.MostBytes ? 431 : 400);
        if (Refusals.TryGetValue(request.Status, out var why)) throw new SaeException(why);
        var lines = Encoding.Latin1.GetString(bytes, 0, length - 4).Split("\r\n");
        var hosts = lines.Skip(1).Where(line => line.StartsWith("host:", StringComparison.OrdinalIgnoreCase))
            .Select(line => line[5..].Trim(' ', '\t').ToLowerInvariant()).ToArray();
        if (request.Status != 200 || length > HttpHead.MostBytes || !RequestLine().IsMatch(lines[0])
            || lines[0].Split(' ') is not [var method, var path, _] || path != request.Path
            || request.HeadOnly != (method == "HEAD")
            || hosts is not ["127.0.0.1:6006" or "localhost:6006"]
            || lines.Any(line => line.Any(c => c is < ' ' and not '\t' or '\x7f')))
            throw new InvalidOperationException($"a request that is none of the few was taken: {lines[0]}");
    }

    [GeneratedRegex(@"\A(GET|HEAD) (/|/sections\.json|/events) HTTP/1\.[01]\z")]
    private static partial Regex RequestLine();
}
