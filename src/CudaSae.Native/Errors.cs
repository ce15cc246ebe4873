using System.Runtime.InteropServices;
using System.Text;
using CudaSae.Model;

namespace CudaSae.Native;

/// <summary>The codes that exports return, which cudasae.h names.</summary>
enum ErrorCode { Ok, InvalidArgument, Io, Device, OutOfMemory, Numerical, Internal }

/// <summary>Converts exceptions to a code for the caller and a line that its thread can read.</summary>
static unsafe class Errors
{
    [ThreadStatic] static byte[]? line;     // pinned, zero-terminated UTF-8

    /// <summary>Stores the last error of the thread and returns its code.</summary>
    public static int Report(Exception e)
    {
        while (e is AggregateException { InnerException: { } inner }) e = inner;
        var (code, text) = e switch
        {
            SaeException { InnerException: IOException or UnauthorizedAccessException } => (ErrorCode.Io, e.Message),
            SaeException known => (CodeOf(known.Kind), SettingSpelling.ForRecords(known.Message)),
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

    /// <summary>The last error of the calling thread, valid until its next error; empty if there was none.</summary>
    public static byte* Last() => line is null ? Empty : (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(line, 0);

    static readonly byte* Empty = (byte*)NativeMemory.AllocZeroed(1);

    /// <summary>Runs work on files, and converts errors of the input to errors of files.</summary>
    public static T OfFiles<T>(Func<T> work)
    {
        try { return work(); }
        catch (SaeException e) when (e.Kind == SaeErrorKind.Input)
        {
            throw new SaeException(e.Message, e, SaeErrorKind.Files);
        }
    }
}
