using System.Diagnostics.CodeAnalysis;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>Standard output as a stream that detects when its reader has closed, which .NET's own console ignores. A
/// run in training then stops with a checkpoint; any other command ends.</summary>
sealed class StandardOutput : Stream
{
    /// <summary>Exit code of a command whose output was closed: 128 + SIGPIPE.</summary>
    public const int ExitCode = 141;

    const int NoSpace = 28;     // ENOSPC: a full disk is not a closed reader

    [SuppressMessage("Usage", "CA2213", Justification = "The output stays open until the process ends.")]
    readonly Stream inner;
    static Action? closed;

    StandardOutput(Stream inner) => this.inner = inner;

    /// <summary>Whether a write failed. All later output is dropped.</summary>
    public static bool IsClosed { get; private set; }

    /// <summary>Sets the console's output, without colours and escape codes if the output is not a terminal, NO_COLOR
    /// is set, or the process is one of several ranks.</summary>
    public static void Open()
    {
        // mpirun gives its processes a terminal, and copies what they write into its own output.
        var plain = Console.IsOutputRedirected || Launched.Place is not null
            || !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        if (plain) Environment.SetEnvironmentVariable("TERM", "dumb");  // .NET sets up the keypad of any other terminal
        if (!OperatingSystem.IsWindows())
        {
            var output = new StandardOutput(Descriptor());
            Console.SetOut(new StreamWriter(output, new UTF8Encoding(false)) { AutoFlush = true });
        }
        if (plain) StylePlainly();
    }

    /// <summary>Drops everything that is written from now on.</summary>
    public static void Drop()
    {
        Console.SetOut(TextWriter.Null);
        StylePlainly();
    }

    static void StylePlainly() => AnsiConsole.Console = AnsiConsole.Create(new()
    {
        Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Interactive = InteractionSupport.No,
        Out = new AnsiConsoleOutput(Console.Out),
    });

    /// <summary>Registers an action that runs once when the output closes, or at once if it is already closed; null
    /// removes it. Without an action the write throws <see cref="OutputClosedException"/>.</summary>
    public static void WhenClosed(Action? action)
    {
        closed = action;
        if (IsClosed) action?.Invoke();
    }

    /// <summary>Opens the output. A pipe or terminal is written directly, so that errors are visible. A file is written
    /// at the position that the shell left, which other writers may share.</summary>
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

/// <summary>Thrown if standard output closed while a command wrote to it. The command ends without a message.</summary>
sealed class OutputClosedException : Exception;
