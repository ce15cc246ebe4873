using System.Runtime.InteropServices;
using System.Text;

namespace CudaSae.Distributed;

/// <summary>Functions of libc on this process.</summary>
static partial class NativeProcess
{
    const int StandardError = 2;

    /// <summary>Prints a line on the error stream.</summary>
    public static void PrintError(string line)
    {
        var bytes = Encoding.UTF8.GetBytes(line + "\n");
        _ = Write(StandardError, bytes, bytes.Length);
    }

    /// <summary>Ends the process at once. Handlers of an orderly exit, such as those of MPI, would wait for other
    /// ranks.</summary>
    [LibraryImport("libc", EntryPoint = "_exit")]
    public static partial void Exit(int code);

    /// <summary>Sets a variable that native libraries read. Environment.SetEnvironmentVariable does not reach their
    /// getenv.</summary>
    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetVariable(string name, string value, int overwrite);

    /// <summary>Removes a variable that native libraries read.</summary>
    [LibraryImport("libc", EntryPoint = "unsetenv", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int RemoveVariable(string name);

    [LibraryImport("libc", EntryPoint = "write")]
    private static partial nint Write(int file, byte[] bytes, nint count);
}
