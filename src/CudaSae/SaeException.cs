namespace CudaSae;

/// <summary>An error that its reader can mend: bad input, a bad setting, a missing device. One line that says what, where
/// and what to do; the command line prints it without a stack trace and exits with code 2.</summary>
public class SaeException(string message, Exception? inner = null, SaeErrorKind kind = SaeErrorKind.Input) : Exception(message, inner)
{
    /// <summary>What a program can tell apart; the C ABI's error codes.</summary>
    public SaeErrorKind Kind { get; } = kind;
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
