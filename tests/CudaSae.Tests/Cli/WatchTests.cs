using System.Diagnostics;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using CudaSae.Cli.Watch;
using CudaSae.Lab.Report;

namespace CudaSae.Tests;

/// <summary>Tests the server of train --watch through raw sockets: its answers, its refusals, and that no client
/// disturbs the run.</summary>
[Trait("speed", "slow")]
public class WatchTests
{
    static readonly Chapter[] Shown = [new("training", "Training", 0,
        [new TableFigure("latest", "Latest", [new("number", Texts: ["<b>"]), new("value", Numbers: [1.5])])])];

    internal static WatchServer Server(Func<Chapter[]>? chapters = null, double seconds = 5) =>
        new(0, () => "<p>page</p>"u8.ToArray(), chapters ?? (() => Shown), TimeSpan.FromSeconds(seconds));

    static Socket Connect(int port)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 10_000, SendTimeout = 10_000 };
        socket.Connect(IPAddress.Loopback, port);
        return socket;
    }

    static string ReadAll(Socket socket)
    {
        var (bytes, room) = (new List<byte>(), new byte[65536]);
        try
        {
            for (int count; (count = socket.Receive(room)) > 0;) bytes.AddRange(room.AsSpan(0, count));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset) { }
        return Encoding.UTF8.GetString([.. bytes]);
    }

    static string Ask(int port, byte[] request)
    {
        using var socket = Connect(port);
        socket.Send(request);
        socket.Shutdown(SocketShutdown.Send);
        return ReadAll(socket);
    }

    internal static string Ask(int port, string request) =>
        Ask(port, Encoding.Latin1.GetBytes(request.Replace("PORT", $"{port}").Replace("|", "\r\n")));

    internal static int Status(string answer) =>
        answer.StartsWith("HTTP/1.1 ", StringComparison.Ordinal) ? int.Parse(answer.AsSpan(9, 3)) : 0;

    internal const string Valid = "GET /chapters.json HTTP/1.1|Host: 127.0.0.1:PORT||";

    [Fact]
    public void OnlyTheSupportedRequestsAreAnswered()
    {
        using var server = Server();
        (int Status, string Request)[] cases =
        [
            (200, "GET / HTTP/1.1|Host: 127.0.0.1:PORT||"), (200, Valid),
            (200, "HEAD / HTTP/1.0|host: LocalHost:PORT ||"),
            (200, "HEAD /events HTTP/1.1|Host: localhost:PORT|Content-Length: 0||"),
            (421, "GET / HTTP/1.1|Host: evil.example:PORT||"), (421, "GET / HTTP/1.1|Host: 127.0.0.1||"),
            (421, "GET / HTTP/1.1|Host: 127.0.0.1:1||"), (421, "GET / HTTP/1.1|Host: 127.0.0.1:PORT.evil.example||"),
            (421, "GET / HTTP/1.1|Host:||"),
            (400, "GET / HTTP/1.1||"), (400, "GET / HTTP/1.1|Host: 127.0.0.1:PORT|Host: 127.0.0.1:PORT||"),
            (405, "POST / HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (405, "OPTIONS /chapters.json HTTP/1.1|Host: 127.0.0.1:PORT|Origin: http://evil.example||"),
            (405, "get / HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /index.html HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /../../etc/passwd HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /%2e%2e/train.json HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /chapters.json?x HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /events/ HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET //chapters.json HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET http://127.0.0.1:PORT/ HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (505, "GET / HTTP/2.0|Host: 127.0.0.1:PORT||"), (400, "GET / FTP/1.1|Host: 127.0.0.1:PORT||"),
            (400, "GET /|Host: 127.0.0.1:PORT||"), (400, "|Host: 127.0.0.1:PORT||"),
            (400, "GET / HTTP/1.1|Host: 127.0.0.1:PORT|folded:| no||"),
            (400, "GET / HTTP/1.1\nHost: 127.0.0.1:PORT\n\n||"), (400, "GET / HTTP/1.1|Host: 127.0.0.1:PORT|A: \0||"),
            (400, "GET / HTTP/1.1|Host: 127.0.0.1:PORT|Content-Length: 3||abc"), (400, Valid + "GET"),
            (400, "GET / HTTP/1.1|Host: 127.0.0.1:PORT|Transfer-Encoding: chunked||"),
            (400, "GET / HTTP/1.1|Host : 127.0.0.1:PORT||"),
        ];
        foreach (var (status, request) in cases)
            Assert.True(status == Status(Ask(server.Port, request)), $"{status} was expected: {request}");
    }

    [Fact]
    public void AnswersCarryTheirHeadersAndTheChapters()
    {
        using var server = Server();
        string[] page = Ask(server.Port, "GET / HTTP/1.1|Host: localhost:PORT||").Split("\r\n\r\n"),
        json = Ask(server.Port, Valid).Split("\r\n\r\n"),
        head = Ask(server.Port, "HEAD /chapters.json HTTP/1.1|Host: 127.0.0.1:PORT||").Split("\r\n\r\n");
        foreach (var answer in (string[])[page[0], json[0], head[0],
            Ask(server.Port, "GET /x HTTP/1.1|Host: localhost:PORT||")])
        {
            foreach (var field in new[] { "Cache-Control: no-store", "X-Content-Type-Options: nosniff",
                "Connection: close", "Content-Security-Policy: default-src 'none'; ", "frame-ancestors 'none'" })
                Assert.Contains(field, answer);
            Assert.DoesNotContain("Access-Control", answer);
        }
        Assert.Equal("<p>page</p>", page[1]);
        Assert.Contains("Content-Type: application/json", json[0]);
        Assert.Equal(1.5,
            ((TableFigure)JsonSerializer.Deserialize(json[1], ReportJson.Default.ChapterArray)![0]
                .Figures[0]).Columns[1].Numbers![0]);
        Assert.DoesNotContain('<', json[1]);
        Assert.Equal((json[0], ""), (head[0], head[1]));
    }

    [Fact]
    public void AHeadOfMoreThanEightKibibytesIsRefused()
    {
        using var server = Server();
        string Request(int length) =>
            $"GET / HTTP/1.1|Host: 127.0.0.1:{server.Port}|A: ".Replace("|", "\r\n") is var start
                ? start + new string('x', length - start.Length - 4) + "\r\n\r\n" : "";
        Assert.Equal(200, Status(Ask(server.Port, Request(HttpHead.MostBytes))));
        Assert.Equal(431, Status(Ask(server.Port, Request(HttpHead.MostBytes + 1))));
        Assert.Equal(431, Status(Ask(server.Port, "GET /" + new string('a', 100_000))));
        Assert.Equal(431,
            Status(Ask(server.Port, "GET / HTTP/1.1|" + string.Concat(Enumerable.Repeat("A: b|", 5000)))));
        Assert.Equal(200, Status(Ask(server.Port, Valid)));
    }

    [Fact]
    public void ASlowClientIsDisconnected()
    {
        using var server = Server(seconds: 0.5);
        using var socket = Connect(server.Port);
        var clock = Stopwatch.StartNew();
        try
        {
            for (var i = 0; i < 600 && !socket.Poll(0, SelectMode.SelectRead); i++)
            {
                socket.Send("G"u8);
                Thread.Sleep(50);
            }
        }
        catch (SocketException) { }
        Assert.Equal(408, Status(ReadAll(socket)));
        // the client sends for 30 s: its bytes do not extend the limit
        Assert.InRange(clock.Elapsed.TotalSeconds, 0.4, 20);
    }

    /// <summary>Sixteen clients request more than their sockets hold and read nothing. The seventeenth is refused, the
    /// run is not disturbed, and the connections of the sixteen are closed.</summary>
    [Fact]
    public void ClientsThatReadNothingBlockNothing()
    {
        Chapter[] large = [Shown[0] with { Title = new string('x', 16_000_000) }];
        using var server = Server(() => large, seconds: 4);
        var hanging = Enumerable.Range(0, WatchServer.MostClients).Select(_ => Connect(server.Port)).ToArray();
        foreach (var socket in hanging)
            socket.Send(Encoding.ASCII.GetBytes(Valid.Replace("PORT", $"{server.Port}").Replace("|", "\r\n")));
        Thread.Sleep(100);
        Assert.Equal(503, Status(Ask(server.Port, Valid)));
        var clock = Stopwatch.StartNew();
        for (var step = 1; step <= 1000; step++) server.Changed(step);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 2);      // no call waits for the 4 s of a client
        var answered = 0;
        for (var wait = 0; wait < 200 && answered == 0; wait++)
        {
            Thread.Sleep(100);
            if (Status(Ask(server.Port, "GET / HTTP/1.1|Host: 127.0.0.1:PORT||")) == 200) answered = 1;
        }
        Assert.Equal(1, answered);
        foreach (var socket in hanging) socket.Dispose();
    }

    [Fact]
    public void TheServerStopsAtOnceWithOpenClients()
    {
        var server = Server();
        using Socket silent = Connect(server.Port), half = Connect(server.Port), listening = Connect(server.Port);
        half.Send("GET / HT"u8);
        listening.Send(Encoding.ASCII.GetBytes($"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{server.Port}\r\n\r\n"));
        Thread.Sleep(300);
        var clock = Stopwatch.StartNew();
        server.Dispose();
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 4);       // a client has 5 s
        Assert.Contains("data: 0", ReadAll(listening));
        Assert.Equal("", ReadAll(silent));
        Assert.Throws<SocketException>(() => Connect(server.Port).Dispose());
    }

    [Fact]
    public void EventsReportTheNewestStep()
    {
        using var server = Server();
        using var socket = Connect(server.Port);
        server.Changed(5);
        socket.Send(Encoding.ASCII.GetBytes($"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{server.Port}\r\n\r\n"));
        var (text, room) = ("", new byte[4096]);
        while (!text.Contains("data: 9\n\n"))
        {
            text += Encoding.ASCII.GetString(room, 0, socket.Receive(room));
            if (text.Contains("data: 5\n\n")) server.Changed(9);
        }
        Assert.Contains("Content-Type: text/event-stream", text);
    }

    [Fact]
    public void ListenersLeaveRoomForReaders()
    {
        using var server = Server();
        var listening = Enumerable.Range(0, WatchServer.MostListeners).Select(_ => Connect(server.Port)).ToArray();
        foreach (var socket in listening)
            socket.Send(Encoding.ASCII.GetBytes($"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{server.Port}\r\n\r\n"));
        foreach (var socket in listening) Assert.True(socket.Receive(new byte[4096]) > 0);
        Assert.Equal(503, Status(Ask(server.Port, "GET /events HTTP/1.1|Host: 127.0.0.1:PORT||")));
        Assert.Equal(200, Status(Ask(server.Port, Valid)));
        foreach (var socket in listening) socket.Dispose();
    }

    [Fact]
    public void ChaptersAreMadeOnceForAllAndAFailureIsAnswered()
    {
        var (made, gone, clock) = (0, false, Stopwatch.StartNew());
        using var server = Server(() =>
        {
            made++;
            return gone ? throw new IOException("gone") : Shown;
        });
        for (var i = 0; i < 10; i++)
        {
            server.Changed(i);
            Assert.Equal(200, Status(Ask(server.Port, Valid)));
        }
        Assert.InRange(made, 1, 1 + (int)clock.Elapsed.TotalSeconds);       // chapters are valid for one second
        gone = true;
        Thread.Sleep(1100);
        Assert.Equal(500, Status(Ask(server.Port, Valid)));
        Assert.Equal(200, Status(Ask(server.Port, "GET / HTTP/1.1|Host: 127.0.0.1:PORT||")));
    }

    [Fact]
    public void MalformedRequestsAreRefusedAndTheServerContinues()
    {
        using var targets = new FuzzTargets();
        var target = targets.All.Single(t => t.Name == "http");
        using var server = Server();
        var sent = 0;
        for (var number = 10L; sent < 50; number++)
        {
            var bytes = target.Input(3, number).Bytes;
            if (bytes.Length == 0) continue;
            int status;
            // threads of earlier requests are still ending
            while ((status = Status(Ask(server.Port, bytes))) == 503) Thread.Sleep(20);
            Assert.Contains(status, (int[])[400, 404, 405, 421, 431, 505]);
            sent++;
        }
        Assert.Equal(200, Status(Ask(server.Port, Valid)));
    }

    [Fact]
    public void OtherAddressesCannotConnect()
    {
        using var server = Server();
        var other = NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses)
            .Select(a => a.Address)
            .FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(a));
        Assert.SkipWhen(other is null, "this machine has no other address");
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        Assert.Throws<SocketException>(() => socket.Connect(other!, server.Port));
    }
}
