using System.Buffers;

namespace CudaSae;

/// <summary>An error that the user can correct, such as bad input, a bad setting or a missing device. Its message is
/// one line that states what failed, where, and what to do. The command line prints it without a stack trace and exits
/// with code 2.</summary>
/// <param name="message">The message; it is reduced to one line.</param>
/// <param name="inner">The cause, if there is one.</param>
/// <param name="kind">The kind of the error.</param>
public class SaeException(string message, Exception? inner = null, SaeErrorKind kind = SaeErrorKind.Input)
    : Exception(OneLine(message), inner)
{
    const int MaxLength = 2000, End = 400;

    /// <summary>The kind of the error, which is also the error code of the C library.</summary>
    public SaeErrorKind Kind { get; } = kind;

    /// <summary>Reduces a message to one line, because it may contain names and texts of a file or a driver's report. A
    /// line end becomes "; ", a control character becomes '?', and the middle of a very long message is
    /// removed.</summary>
    static string OneLine(string message)
    {
        message = message.TrimEnd().ReplaceLineEndings("; ");
        if (message.Length > MaxLength) message = $"{message[..(MaxLength - End)]} … {message[^End..]}";
        return message.AsSpan().IndexOfAny(Breaks) < 0 ? message
            : string.Concat(message.Select(c => Breaks.Contains(c) ? '?' : c));
    }

    /// <summary>Control characters and Unicode's paragraph separator.</summary>
    static readonly SearchValues<char> Breaks =
        SearchValues.Create([.. Enumerable.Range(0, 0xA0).Select(i => (char)i).Where(char.IsControl), '\u2029']);
}

/// <summary>The kinds of errors.</summary>
public enum SaeErrorKind
{
    /// <summary>An argument or a setting is wrong, or a call is out of order.</summary>
    Input,
    /// <summary>A file is missing or damaged, cannot be written, or has a format that cannot express the SAE.</summary>
    Files,
    /// <summary>The GPU, its driver, the kernels or the emulator are not available, or a call to them failed.</summary>
    Device,
    /// <summary>The memory of the host or of the device does not suffice.</summary>
    Memory,
    /// <summary>Rows, or numbers computed from them, contain NaN or infinity.</summary>
    Numbers,
}
