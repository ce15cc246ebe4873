using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using CudaSae.Lab.Report;

namespace CudaSae.Cli.Watch;

/// <summary>Shows a run in progress to browsers on this machine. GET / returns a page, GET /chapters.json the figures
/// that it draws, and GET /events a stream that announces new figures; the server accepts nothing else and listens on
/// 127.0.0.1 only. It uses its own threads: the training thread only stores a number. docs/SECURITY.md describes its
/// protections.</summary>
sealed class WatchServer : IDisposable
{
    public const int MostClients = 16, MostListeners = 8;

    const int StackBytes = 1 << 19;
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(5), Between = TimeSpan.FromMilliseconds(5);

    readonly TcpListener listener;
    readonly Watched watched;
    readonly TimeSpan patience;
    readonly Thread accepting;
    readonly CancellationTokenSource closing = new();
    readonly HashSet<Thread> clients = [];
    int listeners;
    long version;

    /// <param name="port">Port to listen on; 0 for a free one.</param>
    /// <param name="page">Returns the HTML; called once, at the first request.</param>
    /// <param name="chapters">Returns the JSON; called on a client's thread while the run trains.</param>
    /// <exception cref="SaeException">The port is in use or not allowed.</exception>
    public WatchServer(int port, Func<byte[]> page, Func<Chapter[]> chapters, TimeSpan? patience = null)
    {
        this.patience = patience ?? Patience;
        var html = new Rendered(page, () => 0);
        var json = new Rendered(() => JsonSerializer.SerializeToUtf8Bytes(chapters(), ReportJson.Default.ChapterArray),
            () => Volatile.Read(ref version));
        watched = new(html.Now, json.Now, () => Volatile.Read(ref version));
        listener = new(IPAddress.Loopback, port);
        try { listener.Start(MostClients); }
        catch (SocketException e)
        {
            var why = e.SocketErrorCode == SocketError.AddressAlreadyInUse ? "another program listens on this port"
                : e.Message.TrimEnd('.');
            throw new SaeException($"--watch {port}: {why}; give another port, or none for a free one", e);
        }
        Port = ((IPEndPoint)listener.LocalEndpoint).Port;
        accepting = Begin(Accept);
    }

    public int Port { get; }

    public string Url => $"http://127.0.0.1:{Port}/";

    /// <summary>Announces new metrics up to this step. It never waits.</summary>
    public void Changed(long step) => Volatile.Write(ref version, step);

    static Thread Begin(Action body)
    {
        var thread = new Thread(() => body(), StackBytes) { IsBackground = true, Name = "watch" };
        thread.Start();
        return thread;
    }

    void Accept()
    {
        while (!closing.IsCancellationRequested)
            try
            {
                Take(listener.AcceptSocket());
                // a client that floods the port, perhaps from a web page, must not take cores from the training
                closing.Token.WaitHandle.WaitOne(Between);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException
                or OutOfMemoryException)
            {
                closing.Token.WaitHandle.WaitOne(100); // no descriptor or thread is free, or the server is being closed
            }
    }

    void Take(Socket socket)
    {
        lock (clients)
        {
            if (clients.Count < MostClients && !closing.IsCancellationRequested)
            {
                clients.Add(Begin(() => Serve(socket)));
                return;
            }
        }
        using (socket)
        {
            socket.Blocking = false;        // these few bytes fit the send buffer of a new connection
            socket.Send(HttpAnswer.Refusal(503), SocketFlags.None, out _);
        }
    }

    /// <summary>Serves a client and drops all exceptions, because an exception here would end the run.</summary>
    void Serve(Socket socket)
    {
        var listens = false;
        try
        {
            using (socket) new WatchClient(socket, Port, watched, MayListen, patience, closing.Token).Serve();
        }
        catch (Exception) { }
        finally
        {
            if (listens) Interlocked.Decrement(ref listeners);
            lock (clients) clients.Remove(Thread.CurrentThread);
        }

        bool MayListen()
        {
            listens = true;
            return Interlocked.Increment(ref listeners) <= MostListeners;
        }
    }

    /// <summary>Stops listening and leaves no thread behind. It waits at most a second for each client.</summary>
    public void Dispose()
    {
        closing.Cancel();
        listener.Dispose();
        Thread[] left;
        lock (clients) left = [accepting, .. clients];
        var last = Environment.TickCount64 + 1000;
        foreach (var thread in left) thread.Join((int)Math.Max(0, last - Environment.TickCount64));
        if (left.All(thread => !thread.IsAlive)) closing.Dispose();
    }
}
