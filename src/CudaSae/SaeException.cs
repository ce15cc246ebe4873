namespace CudaSae;

/// <summary>An error that its reader can mend: bad input, a bad setting, a missing device. One line that says what, where
/// and what to do; the command line prints it without a stack trace and exits with code 2.</summary>
public class SaeException(string message, Exception? inner = null) : Exception(message, inner);
