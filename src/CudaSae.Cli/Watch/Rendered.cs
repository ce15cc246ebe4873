using System.Diagnostics;

namespace CudaSae.Cli.Watch;

/// <summary>Caches bytes that many clients request. It renders them again only if the version is new, at most once a
/// second, and with at most a twentieth of one core's time, however many requests arrive.</summary>
sealed class Rendered(Func<byte[]> make, Func<long> version)
{
    static readonly TimeSpan Least = TimeSpan.FromSeconds(1);
    const int Share = 20;

    readonly Lock gate = new();
    byte[]? bytes;
    long shown, made;
    TimeSpan pause;

    public byte[] Now()
    {
        lock (gate)
        {
            var newest = version();
            if (bytes is not null && (newest == shown || Stopwatch.GetElapsedTime(made) < pause)) return bytes;
            var start = Stopwatch.GetTimestamp();
            bytes = make();
            (shown, made) = (newest, Stopwatch.GetTimestamp());
            var cost = Share * Stopwatch.GetElapsedTime(start, made);
            pause = cost > Least ? cost : Least;
            return bytes;
        }
    }
}
