using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace CudaSae.Files;

/// <summary>An exclusive lock on writing a folder, or one file, which one process holds at a time. It is the operating
/// system's lock on the file run.lock (FILE.lock for a file), so the lock of a killed process is free. The file names
/// the process and the host, for messages and for file systems without locks: there, a process of this host that still
/// runs keeps its lock. Dispose deletes the file.</summary>
sealed partial class FolderLock : IDisposable
{
    public const string FileName = "run.lock";

    const int Attempts = 100;       // because another process may delete the file at the same moment
    const int MaxBytes = 1024;

    static int taken;       // locks of this process so far: each writes a different line

    static readonly string Self = Line(Environment.ProcessId, Environment.MachineName, StartOf(Environment.ProcessId));

    readonly string path;
    readonly string? created;       // folder that this lock created; it is removed if it stays empty
    readonly FileStream stream;

    FolderLock(string path, string? created, FileStream stream) =>
        (this.path, this.created, this.stream) = (path, created, stream);

    /// <summary>One line about the process that left its lock behind; null if there was none.</summary>
    public string? TakenOver { get; private init; }

    /// <summary>Takes the lock of a folder, which is created if it does not exist.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="advice">Advice for the message if another process holds the lock, such as "choose another
    /// folder".</param>
    /// <param name="wait">Time to wait for a lock that another process holds.</param>
    /// <exception cref="SaeException">Another process holds the lock, or the folder cannot be written.</exception>
    public static FolderLock Take(string folder, string advice, TimeSpan wait = default) =>
        Take(Path.Combine(folder, FileName), folder, advice, wait);

    /// <summary>Takes the lock of one file that is written repeatedly.</summary>
    /// <exception cref="SaeException">Another process holds the lock, or the file's folder cannot be
    /// written.</exception>
    public static FolderLock TakeFile(string file, string advice) => Take(file + ".lock", file, advice, default);

    static FolderLock Take(string path, string what, string advice, TimeSpan wait)
    {
        for (var until = DateTime.UtcNow + wait; ; Thread.Sleep(20))
        {
            if (Try(path, out var holder) is { } taken) return taken;
            if (DateTime.UtcNow >= until) throw InUse(what, holder, advice);
        }
    }

    /// <summary>Takes the lock of a folder; returns null if another process holds it.</summary>
    /// <exception cref="SaeException">The folder cannot be written.</exception>
    public static FolderLock? Try(string folder) => Try(Path.Combine(folder, FileName), out _);

    /// <summary>Refuses a folder that another process writes.</summary>
    /// <param name="wait">Time to wait until that process ends.</param>
    /// <exception cref="SaeException">Another process holds the lock.</exception>
    public static void RequireFree(string folder, string advice, TimeSpan wait = default)
    {
        if (!File.Exists(Path.Combine(folder, FileName))) return;
        Take(folder, advice, wait).Dispose();
    }

    static SaeException InUse(string what, string holder, string advice) =>
        new($"{what} is in use by {holder}; wait until that process ends, or {advice}", kind: SaeErrorKind.Files);

    /// <param name="holder">The process that holds the lock if the result is null.</param>
    static FolderLock? Try(string path, out string holder)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var created = Directory.Exists(folder) ? null : folder;
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            if (Open(path) is not { } stream)
            {
                holder = Describe(Read(path));
                return null;
            }
            var before = Read(stream);
            var isOwn = before.StartsWith(Self + ' ', StringComparison.Ordinal);
            if (!isOwn && IsRunning(before))       // the file system has no locks
            {
                stream.Dispose();
                holder = Describe(before);
                return null;
            }
            var line = $"{Self} {Interlocked.Increment(ref taken)}";
            Write(stream, line);
            if (Read(path) != line)       // another process deleted the file between opening and locking
            {
                stream.Dispose();
                continue;
            }
            holder = "";
            var left = before is "" || isOwn
                ? null
                : $"{Describe(before)} left its lock on {folder}; it is taken over";
            return new(path, created, stream) { TakenOver = left };
        }
        holder = "another process";
        return null;
    }

    /// <summary>Opens and locks a file; returns null if another process holds the lock.</summary>
    static FileStream? Open(string path)
    {
        if (new FileInfo(path).LinkTarget is not null)
            throw new SaeException($"{path} is a link, so that another file would be written; delete it",
                kind: SaeErrorKind.Files);
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            var share = OperatingSystem.IsWindows() ? FileShare.Read | FileShare.Delete : FileShare.None;
            return new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, share, 1);
        }
        catch (IOException e) when (IsLocked(e)) { return null; }
        catch (Exception e) when (AtomicFile.IsRefusal(e))
        {
            throw new SaeException($"cannot write {path}: {AtomicFile.Reason(e)}; choose another folder", e,
                SaeErrorKind.Files);
        }
    }

    /// <summary>Returns whether an error is EWOULDBLOCK of flock, by its number on Linux and macOS, or the sharing
    /// violation of Windows.</summary>
    static bool IsLocked(IOException e) => e.HResult is 11 or 35 or unchecked((int)0x80070020);

    static void Write(FileStream stream, string line)
    {
        stream.SetLength(0);
        stream.Write(Encoding.UTF8.GetBytes(line));
        stream.Flush();
    }

    static string Read(FileStream stream)
    {
        var bytes = new byte[MaxBytes];
        stream.Seek(0, SeekOrigin.Begin);
        return Encoding.UTF8.GetString(bytes, 0, stream.ReadAtLeast(bytes, MaxBytes, throwOnEndOfStream: false)).Trim();
    }

    /// <summary>Returns the text of a file that may be locked, or "" if it cannot be read. libc opens it, because .NET
    /// requests a lock on every file that it opens.</summary>
    static string Read(string path)
    {
        try
        {
            using var handle = OperatingSystem.IsWindows()
                ? File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete)
                : new SafeFileHandle(OpenToRead(Path.GetFullPath(path), 0), ownsHandle: true);
            if (handle.IsInvalid) return "";
            using var stream = new FileStream(handle, FileAccess.Read, 1);
            return Read(stream);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { return ""; }
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenToRead(string path, int flags);

    static string Line(int process, string host, long start) =>
        string.Create(CultureInfo.InvariantCulture, $"{process} {host} {start}");

    /// <summary>Returns the start time of a process in Unix seconds; 0 if it has ended or cannot be
    /// inspected.</summary>
    static long StartOf(int process)
    {
        try
        {
            using var found = Process.GetProcessById(process);
            return new DateTimeOffset(found.StartTime.ToUniversalTime()).ToUnixTimeSeconds();
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException
            or System.ComponentModel.Win32Exception)
        {
            return 0;
        }
    }

    /// <summary>Returns whether the line of a lock names a process of this host that still runs. The start time is
    /// compared too, because process numbers are reused.</summary>
    static bool IsRunning(string line) => line.Split(' ') is [var number, var host, var start, _]
        && host == Environment.MachineName
        && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var process)
        && long.TryParse(start, NumberStyles.None, CultureInfo.InvariantCulture, out var began)
        && StartOf(process) is > 0 and var now && Math.Abs(now - began) <= 2;

    static string Describe(string line) => line.Split(' ') is [var process, var host, var start, _]
        && long.TryParse(start, NumberStyles.None, CultureInfo.InvariantCulture, out var began) && began < 1L << 36
        ? $"process {process} on {host}, which began at "
            + DateTimeOffset.FromUnixTimeSeconds(began).ToLocalTime()
                .ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)
        : "another process";

    public void Dispose()
    {
        try
        {
            stream.SetLength(0);        // a process that already has the file open finds it free
            if (!OperatingSystem.IsWindows())
                File.Delete(path);      // while it is locked: a process that opens it later creates a new one
            stream.Dispose();
            if (OperatingSystem.IsWindows()) File.Delete(path);
            if (created is not null && !Directory.EnumerateFileSystemEntries(created).Any()) Directory.Delete(created);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { stream.Dispose(); }
    }
}
