using System.Text;

namespace CudaSae.Cli.Watch;

/// <summary>Builds the heads of answers. Each answer closes its connection, forbids caching, and allows no other origin
/// to read it.</summary>
static class HttpAnswer
{
    /// <summary>The page runs its own script and style and connects to its own server. The policy inside the page
    /// applies as well.</summary>
    const string Policy =
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; connect-src "
            + "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <param name="length">Length of the body; null for a body that ends with the connection.</param>
    public static byte[] Head(int status, string type, long? length) => Encoding.ASCII.GetBytes(
        $"HTTP/1.1 {status} {Reason(status)}\r\nContent-Type: "
            + $"{type}\r\n{(length is { } bytes ? $"Content-Length: {bytes}\r\n" : "")}"
            + $"{(status == 405 ? "Allow: GET, HEAD\r\n" : "")}Connection: close\r\n"
        + "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nContent-Security-Policy: "
        + $"{Policy}\r\nCross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n\r\n");

    /// <summary>Returns the head and body of a refusal. The body is the status in words.</summary>
    public static byte[] Refusal(int status, bool headOnly = false)
    {
        var body = Encoding.ASCII.GetBytes($"{status} {Reason(status)}\n");
        var head = Head(status, "text/plain; charset=utf-8", body.Length);
        return headOnly ? head : [.. head, .. body];
    }

    static string Reason(int status) => status switch
    {
        200 =>
            "OK",
        400 =>
                "Bad Request",
        404 =>
                    "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        421 => "Misdirected Request",
        431 =>
            "Request Header Fields Too Large",
        503 =>
                "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    };
}
