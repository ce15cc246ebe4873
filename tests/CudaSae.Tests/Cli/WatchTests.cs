using System.Diagnostics;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using CudaSae.Cli.Watch;
using CudaSae.Lab.Report;
using Xunit;

namespace CudaSae.Tests;

/// <summary>The server of train --watch, by raw sockets: its answers, its refusals, and that no client disturbs the
/// run.</summary>
[Trait("speed", "slow")]
public class WatchTests
{
    static readonly Section[] Shown = [new("training", "Training", 0,
        [new TableFigure("latest", "Latest", [new("number", Texts: ["<b>"]), new("value", Numbers: [1.5])])])];

    static WatchServer Server(Func<Section[]>? sections = null, double seconds = 5) =>
        new(0, () => "<p>page</p>"u8.ToArray(), sections ?? (() => Shown), TimeSpan.FromSeconds(seconds));

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

    static string Ask(int port, string request) =>
        Ask(port, Encoding.Latin1.GetBytes(request.Replace("PORT", $"{port}").Replace("|", "\r\n")));

    static int Status(string answer) =>
        answer.StartsWith("HTTP/1.1 ", StringComparison.Ordinal) ? int.Parse(answer.AsSpan(9, 3)) : 0;

    const string Valid = "GET /sections.json HTTP/1.1|Host: 127.0.0.1:PORT||";

    [Fact]
    public void OnlyTheFewRequestsAreAnswered()
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
            (405, "OPTIONS /sections.json HTTP/1.1|Host: 127.0.0.1:PORT|Origin: http://evil.example||"),
            (405, "get / HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /index.html HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /../../etc/passwd HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /%2e%2e/train.json HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /sections.json?x HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET /events/ HTTP/1.1|Host: 127.0.0.1:PORT||"),
            (404, "GET //sections.json HTTP/1.1|Host: 127.0.0.1:PORT||"),
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
    public void AnswersCarryTheirHeadersAndTheSections()
    {
        using var server = Server();
        string[] page = Ask(server.Port, "GET / HTTP/1.1|Host: localhost:PORT||").Split("\r\n\r\n"),
        json = Ask(server.Port, Valid).Split("\r\n\r\n"),
        head = Ask(server.Port, "HEAD /sections.json HTTP/1.1|Host: 127.0.0.1:PORT||").Split("\r\n\r\n");
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
            ((TableFigure)JsonSerializer.Deserialize(json[1], ReportJson.Default.SectionArray)![0]
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
    public void AClientThatDripsIsLetGo()
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
        Assert.InRange(clock.Elapsed.TotalSeconds, 0.4, 20); // the client sends for 30 s: its bytes renew no limit
    }

    /// <summary>Sixteen clients ask for more than their sockets hold and read nothing: the seventeenth is refused, the
    /// run is not disturbed, and their connections are closed.</summary>
    [Fact]
    public void ClientsThatReadNothingHoldNobody()
    {
        Section[] large = [Shown[0] with { Title = new string('x', 16_000_000) }];
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
    public void AServerEndsAtOnceWhateverItsClientsDo()
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
    public void EventsTellTheNewestStep()
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
    public void SectionsAreMadeOnceForAllAndAFailureIsAnAnswer()
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
        Assert.InRange(made, 1, 1 + (int)clock.Elapsed.TotalSeconds);       // sections are valid for one second
        gone = true;
        Thread.Sleep(1100);
        Assert.Equal(500, Status(Ask(server.Port, Valid)));
        Assert.Equal(200, Status(Ask(server.Port, "GET / HTTP/1.1|Host: 127.0.0.1:PORT||")));
    }

    [Fact]
    public void MalformedRequestsAreRefusedAndTheServerGoesOn()
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
            // threads of those before are still ending
            while ((status = Status(Ask(server.Port, bytes))) == 503) Thread.Sleep(20);
            Assert.Contains(status, (int[])[400, 404, 405, 421, 431, 505]);
            sent++;
        }
        Assert.Equal(200, Status(Ask(server.Port, Valid)));
    }

    [Fact]
    public void OtherMachinesFindNobody()
    {
        using var server = Server();
        var other = NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses)
            .Select(a => a.Address)
            .FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(a));
        Assert.SkipWhen(other is null, "this machine has no other address");
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        Assert.Throws<SocketException>(() => socket.Connect(other!, server.Port));
    }

    static readonly string[] Settings = ["--latents", "256", "--k", "8", "--aux-k", "16", "--batch-rows", "64",
        "--vectors", "96000", "--log-every", "3", "--backend", "cpu"];

    [Fact]
    public void APortThatIsTakenIsOneLineBeforeTraining()
    {
        using var folder = new TemporaryFolder();
        using var server = Server();
        AssertOneLine("another program listens on this port", () => new WatchServer(server.Port, () => [], () => []));
        var data = NpyRows.Write(folder["x.npy"], 200, 32);
        foreach (var (port, expected) in new[] { ($"{server.Port}", "another program listens"), ("70000", "a port is"),
            ("x", "x") })
        {
            var (code, _, error) =
                CliProgram.Run(CliProgram.Start(["train", data, "--out", folder["run"], .. Settings, "--watch", port]));
            Assert.Equal((2, 1), (code, error.Trim().Split('\n').Length));
            Assert.Contains(expected, error);
            Assert.False(Directory.Exists(folder["run"]));
        }
    }

    /// <summary>A client reads as often as it can: it reads what is logged, and the weights equal those of a run
    /// without clients.</summary>
    [Fact]
    public void AWatchedRunIsTheSameRunAndShowsItsNumbers()
    {
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 1000, 32);
        var alone = CliProgram.OnOneThread(["train", data, "--out", folder["alone"], .. Settings]);
        Assert.Equal(0, CliProgram.Run(alone).Code);
        var watched = CliProgram.OnOneThread(["train", data, "--out", folder["run"], .. Settings, "--watch"]);
        var shown = Watch(watched, folder["run/metrics.jsonl"]);
        Assert.Equal(File.ReadAllBytes(folder["alone/sae_weights.safetensors"]),
            File.ReadAllBytes(folder["run/sae_weights.safetensors"]));
        var logged = File.ReadLines(folder["run/metrics.jsonl"]).Select(l => JsonDocument.Parse(l).RootElement)
            .Select(l => ((float)l.GetProperty("step").GetInt64(), (float)l.GetProperty("fvu").GetDouble())).ToArray();
        Assert.Contains(shown, figure => figure.Series[0].X.Length > 0);
        foreach (var curve in shown.Select(f => f.Series[0]))
            Assert.Equal(logged[..curve.X.Length], curve.X.Zip(curve.Y));
    }
    /// <summary>Runs it to its end; the curves of FVU that it showed.</summary>
    static List<LinesFigure> Watch(ProcessStartInfo start, string log)
    {
        using var process = Process.Start(start)!;
        var problem = process.StandardError.ReadToEndAsync();
        const string told = "watch this run at http://127.0.0.1:";
        var line = process.StandardOutput.ReadLine();
        while (line?.StartsWith(told, StringComparison.Ordinal) == false) line = process.StandardOutput.ReadLine();
        var rest = process.StandardOutput.ReadToEndAsync();
        var port = line is null ? 0 : int.Parse(line[told.Length..].TrimEnd('/'));
        var shown = new List<LinesFigure>();
        while (port > 0 && !process.HasExited)
        {
            if (!File.Exists(log) || new FileInfo(log).Length == 0) continue;
            string answer;
            try { answer = Ask(port, Valid); }
            catch (SocketException) { break; }      // it has ended
            if (Status(answer) == 200
                && JsonSerializer.Deserialize(answer.Split("\r\n\r\n")[1],
                    ReportJson.Default.SectionArray) is [var section, ..])
                shown.Add(section.Figures.OfType<LinesFigure>().Single(f => f.Id == "fvu"));
            Thread.Sleep(20);
        }
        process.WaitForExit();
        Assert.True(process.ExitCode == 0 && port > 0, problem.Result + line + rest.Result);
        return shown;
    }
}
