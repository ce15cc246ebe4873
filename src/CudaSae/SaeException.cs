using System.Buffers;

namespace CudaSae;

/// <summary>An error that its reader can mend: bad input, a bad setting, a missing device. One line that says what,
/// where
/// and what to do; the command line prints it without a stack trace and exits with code 2.</summary>
public class SaeException(string message, Exception? inner = null, SaeErrorKind kind = SaeErrorKind.Input)
    : Exception(OneLine(message), inner)
{
    const int MaxLength = 2000, End = 400;

    /// <summary>What a program can tell apart; the C ABI's error codes.</summary>
    public SaeErrorKind Kind { get; } = kind;

    /// <summary>Names and texts of a file, or a driver's report, may stand in a message: an end of a line becomes "; ",
    /// what would drive a terminal '?', and the middle of a very long one is left out.</summary>
    static string OneLine(string message)
    {
        message = message.TrimEnd().ReplaceLineEndings("; ");
        if (message.Length > MaxLength) message = $"{message[..(MaxLength - End)]} … {message[^End..]}";
        return message.AsSpan().IndexOfAny(Breaks) < 0 ? message
            : string.Concat(message.Select(c => Breaks.Contains(c) ? '?' : c));
    }

    /// <summary>Control characters, and Unicode's own end of a paragraph.</summary>
    static readonly SearchValues<char> Breaks =
        SearchValues.Create([.. Enumerable.Range(0, 0xA0).Select(i => (char)i).Where(char.IsControl), '\u2029']);
}

public enum SaeErrorKind
{
    /// <summary>An argument, a setting, or a call out of its order.</summary>
    Input,
    /// <summary>A file that is missing, damaged, or of a format that cannot express what is asked.</summary>
    Files,
    /// <summary>The GPU, its driver, the kernels or the emulator are not here, or a call to them failed.</summary>
    Device,
    /// <summary>Memory of the host or of the device does not suffice.</summary>
    Memory,
    /// <summary>NaN or infinity in rows, or in what became of them.</summary>
    Numbers,
}
