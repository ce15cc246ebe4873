using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using CudaSae.Lab.Report;

namespace CudaSae.Cli.Watch;

/// <summary>Shows a run in progress to browsers on this machine: GET / is a page, GET /sections.json the figures it
/// draws, GET /events tells that there are new ones; nothing else. Listens on
/// 127.0.0.1 only. Works on threads of its own, never on the training's, which tells it a number and goes on.
/// docs/SECURITY.md says what it holds back.</summary>
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

    /// <param name="port">0 for a free one.</param>
    /// <param name="page">HTML; made once, when it is first asked for.</param>
    /// <param name="sections">Called on a client's thread while the run goes on.</param>
    /// <exception cref="SaeException">The port is taken, or not allowed.</exception>
    public WatchServer(int port, Func<byte[]> page, Func<Section[]> sections, TimeSpan? patience = null)
    {
        this.patience = patience ?? Patience;
        var html = new Rendered(page, () => 0);
        var json = new Rendered(() => JsonSerializer.SerializeToUtf8Bytes(sections(), ReportJson.Default.SectionArray),
            () => Volatile.Read(ref version));
        watched = new(html.Now, json.Now, () => Volatile.Read(ref version));
        listener = new(IPAddress.Loopback, port);
        try { listener.Start(MostClients); }
        catch (SocketException e)
        {
            throw new SaeException($"--watch {port}: "
                + $"{(e.SocketErrorCode == SocketError.AddressAlreadyInUse ? "another program listens on this port" : e.Message.TrimEnd('.'))}; give another one, or none for a free one",
                e);
        }
        Port = ((IPEndPoint)listener.LocalEndpoint).Port;
        accepting = Begin(Accept);
    }

    public int Port { get; }

    public string Url => $"http://127.0.0.1:{Port}/";

    /// <summary>There are new metrics, up to this step. Never waits.</summary>
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
                // who floods the port, from a web page perhaps, does not take the training's cores
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
            socket.Blocking = false;        // a new connection has room for so few bytes
            socket.Send(HttpAnswer.Refusal(503), SocketFlags.None, out _);
        }
    }

    /// <summary>Whatever a client does is its own affair: an exception here would end the run.</summary>
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
        listener.Stop();
        Thread[] left;
        lock (clients) left = [accepting, .. clients];
        var last = Environment.TickCount64 + 1000;
        foreach (var thread in left) thread.Join((int)Math.Max(0, last - Environment.TickCount64));
        if (left.All(thread => !thread.IsAlive)) closing.Dispose();
    }
}
