using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace CudaSae.Cli.Watch;

/// <summary>The content that the server shows.</summary>
/// <param name="Page">The HTML of /.</param>
/// <param name="Chapters">The JSON of /chapters.json.</param>
/// <param name="Version">A number that grows when newer chapters exist.</param>
sealed record Watched(Func<byte[]> Page, Func<byte[]> Chapters, Func<long> Version);

/// <summary>Serves one request on one connection in its own thread. Every wait has an end: the request, the answer, and
/// each piece of an event stream have <paramref name="patience"/>.</summary>
/// <param name="mayListen">Takes one of the slots for event streams; false if none is free.</param>
sealed class WatchClient(Socket socket, int port, Watched watched, Func<bool> mayListen, TimeSpan patience,
    CancellationToken closing)
{
    const int MostDrained = 1 << 16;
    static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(200), Heartbeat = TimeSpan.FromSeconds(2),
        Stream = TimeSpan.FromMinutes(1), Drain = TimeSpan.FromMilliseconds(300);

    public void Serve()
    {
        var request = Receive();
        if (request.Status == 200)
            switch (request.Path)
            {
                case HttpHead.Page: Answer("text/html; charset=utf-8", watched.Page, request.HeadOnly); break;
                case HttpHead.Chapters: Answer("application/json", watched.Chapters, request.HeadOnly); break;
                default: Events(request.HeadOnly); break;
            }
        else if (request.Status != 0) Send(HttpAnswer.Refusal(request.Status));
        Leave();
    }

    /// <summary>Receives the request; status 0 for a client that closed the connection.</summary>
    HttpRequest Receive()
    {
        var (room, count) = (new byte[HttpHead.MostBytes + 1], 0);
        using var deadline = Deadline(patience);
        try
        {
            while (true)
            {
                var received = Wait(socket.ReceiveAsync(room.AsMemory(count), SocketFlags.None, deadline.Token));
                if (received == 0) return new(count == 0 ? 0 : 400);
                count += received;
                // this server accepts no body
                if (HttpHead.LengthOf(room.AsSpan(0, count)) is > 0 and var length)
                    return length < count ? new(400) : HttpHead.Parse(room.AsSpan(0, length), port);
                if (count == room.Length) return new(431);
            }
        }
        catch (OperationCanceledException) when (!closing.IsCancellationRequested) { return new(408); }
    }

    void Answer(string type, Func<byte[]> make, bool headOnly)
    {
        byte[] body;
        try { body = make(); }
        catch (Exception)      // an error of the watch page must not reach the run
        {
            Send(HttpAnswer.Refusal(500, headOnly));
            return;
        }
        Send(HttpAnswer.Head(200, type, body.Length));
        if (!headOnly) Send(body);
    }

    /// <summary>Sends server-sent events (WHATWG HTML, 9.2): the newest step whenever it changes, at most five times a
    /// second. A client that connects late or reads slowly misses the steps between. The stream ends after a minute,
    /// and browsers then connect again.</summary>
    void Events(bool headOnly)
    {
        if (!headOnly && !mayListen())
        {
            Send(HttpAnswer.Refusal(503));
            return;
        }
        Send(HttpAnswer.Head(200, "text/event-stream", null));
        var (told, silent) = (-1L, TimeSpan.Zero);
        for (var passed = TimeSpan.Zero; !headOnly && passed < Stream; passed += Tick)
        {
            var version = watched.Version();
            if (version != told)
                Send(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"data: {version}\n\n")));
            else if (silent >= Heartbeat) Send(":\n\n"u8.ToArray()); // detects that the client has left
            silent = version != told || silent >= Heartbeat ? TimeSpan.Zero : silent + Tick;
            told = version;
            if (closing.WaitHandle.WaitOne(Tick)) return;
        }
    }

    void Send(ReadOnlyMemory<byte> bytes)
    {
        using var deadline = Deadline(patience);
        while (bytes.Length > 0) bytes = bytes[Wait(socket.SendAsync(bytes, SocketFlags.None, deadline.Token))..];
    }

    /// <summary>Waits briefly for the client to read: closing a socket with unread bytes would discard the
    /// answer.</summary>
    void Leave()
    {
        socket.Shutdown(SocketShutdown.Send);
        using var deadline = Deadline(Drain);
        var room = new byte[4096];
        for (int drained = 0,
            count;
            drained < MostDrained
                && (count = Wait(socket.ReceiveAsync(room.AsMemory(), SocketFlags.None, deadline.Token))) > 0;
            )
            drained += count;
    }

    CancellationTokenSource Deadline(TimeSpan after)
    {
        var source = CancellationTokenSource.CreateLinkedTokenSource(closing);
        source.CancelAfter(after);
        return source;
    }

    static int Wait(ValueTask<int> task) => task.AsTask().GetAwaiter().GetResult();
}
