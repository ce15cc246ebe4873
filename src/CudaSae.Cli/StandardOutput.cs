using System.Text;
using Microsoft.Win32.SafeHandles;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>Standard output as a stream that notices when its reader is gone: .NET's own console ignores that. A run
/// that trains then stops with a checkpoint; any other command ends.</summary>
sealed class StandardOutput : Stream
{
    /// <summary>Exit code of a command whose output was closed: 128 + SIGPIPE.</summary>
    public const int ExitCode = 141;

    const int NoSpace = 28;     // ENOSPC: a full disk is not a reader that left

    readonly Stream inner;
    static Action? closed;

    StandardOutput(Stream inner) => this.inner = inner;

    /// <summary>Whether a write failed. Everything after it is dropped.</summary>
    public static bool IsClosed { get; private set; }

    /// <summary>Sets the console's output, without colours and escape codes where a terminal does not show it or
    /// NO_COLOR is set.</summary>
    public static void Open()
    {
        var plain = Console.IsOutputRedirected || !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        if (plain) Environment.SetEnvironmentVariable("TERM", "dumb");  // .NET sets up the keypad of any other terminal
        if (!OperatingSystem.IsWindows())
        {
            var output = new StandardOutput(Descriptor());
            Console.SetOut(new StreamWriter(output, new UTF8Encoding(false)) { AutoFlush = true });
        }
        if (!plain) return;
        AnsiConsole.Console = AnsiConsole.Create(new()
        {
            Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(Console.Out),
        });
    }

    /// <summary>Calls an action once when output is closed, at once where it is already; null for none. Without one the
    /// write throws <see cref="OutputClosedException"/>.</summary>
    public static void WhenClosed(Action? action)
    {
        closed = action;
        if (IsClosed) action?.Invoke();
    }

    /// <summary>A pipe or terminal is written by itself, so that errors are seen. A file is written at the place that
    /// the shell left, also beside others.</summary>
    static Stream Descriptor()
    {
        try
        {
            var stream = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, 0);
            return stream.CanSeek ? Console.OpenStandardOutput() : stream;
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            return Console.OpenStandardOutput();
        }
    }

    public override void Write(ReadOnlySpan<byte> bytes)
    {
        if (!IsClosed)
            try
            {
                inner.Write(bytes);
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                IsClosed = true;
                if (e.HResult == NoSpace)
                    Console.Error.WriteLine($"cudasae: standard output cannot be written: {e.Message.TrimEnd('.')}");
                closed?.Invoke();
            }
        if (closed is null) throw new OutputClosedException();
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
    public override void Flush() { }
    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
}

/// <summary>Standard output was closed while a command wrote to it: the command ends without a message.</summary>
sealed class OutputClosedException : Exception;
