using System.Runtime.InteropServices;
using System.Text;

namespace CudaSae.Native;

/// <summary>What an export returns; cudasae.h names them.</summary>
enum ErrorCode { Ok, InvalidArgument, Io, Device, OutOfMemory, Numerical, Internal }

/// <summary>Exceptions end here: a code for the caller, and a line that its thread can ask for.</summary>
static unsafe class Errors
{
    [ThreadStatic] static byte[]? line;     // pinned, zero-terminated UTF-8

    /// <summary>Notes the thread's last error.</summary>
    public static int Report(Exception e)
    {
        while (e is AggregateException { InnerException: { } inner }) e = inner;
        var (code, text) = e switch
        {
            SaeException { InnerException: IOException or UnauthorizedAccessException } => (ErrorCode.Io, e.Message),
            SaeException known => (CodeOf(known.Kind), known.Message),
            OutOfMemoryException =>
                (ErrorCode.OutOfMemory, "the machine ran out of memory; use fewer latents or smaller batches"),
            IOException or UnauthorizedAccessException => (ErrorCode.Io, e.Message),
            ArgumentException => (ErrorCode.InvalidArgument, e.Message),
            _ => (ErrorCode.Internal, $"internal error, please report it: {e.GetType().Name}: {e.Message}"),
        };
        text = text.ReplaceLineEndings("; ");
        var bytes = GC.AllocateUninitializedArray<byte>(Encoding.UTF8.GetByteCount(text) + 1, pinned: true);
        bytes[Encoding.UTF8.GetBytes(text, bytes)] = 0;
        line = bytes;
        return (int)code;
    }

    static ErrorCode CodeOf(SaeErrorKind kind) => kind switch
    {
        SaeErrorKind.Files => ErrorCode.Io,
        SaeErrorKind.Device => ErrorCode.Device,
        SaeErrorKind.Memory => ErrorCode.OutOfMemory,
        SaeErrorKind.Numbers => ErrorCode.Numerical,
        _ => ErrorCode.InvalidArgument,
    };

    /// <summary>The calling thread's last error, valid until its next one; empty when there was none.</summary>
    public static byte* Last() => line is null ? Empty : (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(line, 0);

    static readonly byte* Empty = (byte*)NativeMemory.AllocZeroed(1);

    /// <summary>Work on files: what their content or place is to blame for says so by its code.</summary>
    public static T OfFiles<T>(Func<T> work)
    {
        try { return work(); }
        catch (SaeException e) when (e.Kind == SaeErrorKind.Input)
        {
            throw new SaeException(e.Message, e, SaeErrorKind.Files);
        }
    }
}
