using System.Runtime.InteropServices;
using CudaSae.Formats;

namespace CudaSae.Native;

/// <summary>Finished SAEs.</summary>
static unsafe class SaeExports
{
    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_load")]
    public static int Load(byte* path, int backend, long batchRows, nint* sae) =>
        Open(path, 0, backend, batchRows, sae);

    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_load_as")]
    public static int LoadAs(byte* path, int readAs, int backend, long batchRows, nint* sae) =>
        Open(path, readAs, backend, batchRows, sae);

    static int Open(byte* path, int readAs, int backend, long batchRows, nint* sae)
    {
        try
        {
            *Arguments.Pointer(sae, "sae") = 0;
            var from = Arguments.Text(path, "path");
            var asked = Arguments.ReadAs(readAs);
            var (kind, rows) = (Arguments.Backend(backend), Arguments.BatchRows(batchRows));
            *sae = Handles.Add(OpenSae.Of(Errors.OfFiles(() => SaeModel.Load(from, asked)), kind, rows));
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_get_info")]
    public static int Info(nint sae, void* info, nuint size)
    {
        try
        {
            using var use = Handles.Use<OpenSae>(sae);
            Arguments.Fill(SaeInfo.Of(use.Target.Sae), info, size);
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_encode")]
    public static int Encode(nint sae, float* x, long rows, long width, long* total)
    {
        try
        {
            using var use = Handles.Use<OpenSae>(sae);
            var (engine, codes) = (use.Target.Sae, use.Target.Codes);
            codes.Clear();
            engine.Encode(Arguments.Floats(x, rows, width, engine.InputWidth, "x"), codes);
            if (total is not null) *total = codes.Count;
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_encode_device")]
    public static int EncodeOnDevice(nint sae, float* x, long rows, long width, nint stream, long* total)
    {
        try
        {
            using var use = Handles.Use<OpenSae>(sae);
            var (engine, codes) = (use.Target.Sae, use.Target.Codes);
            codes.Clear();
            _ = Arguments.Floats(x, rows, width, engine.InputWidth, "x");       // never looked into from here
            engine.EncodeOnDevice((ulong)x, (int)rows, stream, codes);
            if (total is not null) *total = codes.Count;
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_reconstruct")]
    public static int Reconstruct(nint sae, float* x, long rows, long width, float* into, long intoWidth, long* total)
    {
        try
        {
            using var use = Handles.Use<OpenSae>(sae);
            var (engine, codes) = (use.Target.Sae, use.Target.Codes);
            codes.Clear();
            engine.Reconstruct(Arguments.Floats(x, rows, width, engine.InputWidth, "x"),
                Arguments.Floats(into, rows, intoWidth, engine.OutputWidth, "into"), codes);
            if (total is not null) *total = codes.Count;
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_codes")]
    public static int Codes(nint sae, long* rowStarts, long rows, int* indices, float* values, long capacity)
    {
        try
        {
            using var use = Handles.Use<OpenSae>(sae);
            var codes = use.Target.Codes;
            if (rows != codes.Rows)
                throw new SaeException($"room for {rows} rows; the last call made codes of {codes.Rows}");
            if (capacity < codes.Count) throw new SaeException($"room for {capacity} entries; there are {codes.Count}");
            Arguments.Pointer(rowStarts, "row_starts");
            if (codes.Count > 0 && (indices is null || values is null))
                throw new SaeException("indices or values is null");
            for (var b = 0; b <= codes.Rows; b++) rowStarts[b] = codes.RowStarts[b];
            codes.AllIndices.CopyTo(new(indices, codes.Count));
            codes.AllValues.CopyTo(new(values, codes.Count));
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_decode")]
    public static int Decode(nint sae, long* rowStarts, int* indices, float* values, long rows, float* into,
        long intoWidth)
    {
        try
        {
            using var use = Handles.Use<OpenSae>(sae);
            var engine = use.Target.Sae;
            engine.Decode(use.Target.Read(rowStarts, indices, values, rows),
                Arguments.Floats(into, rows, intoWidth, engine.OutputWidth, "into"));
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_save")]
    public static int Save(nint sae, byte* path, byte* format)
    {
        try
        {
            using var use = Handles.Use<OpenSae>(sae);
            Write(use.Target.Sae.Model, path, format);
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }

    /// <summary>Saves a model; null for SAELens' format.</summary>
    internal static void Write(SaeModel model, byte* path, byte* format)
    {
        var to = Arguments.Text(path, "path");
        var named = SaeFormats.Named(format is null ? SaeLensFormat.FormatName : Arguments.Text(format, "format"));
        Errors.OfFiles(() =>
        {
            named.Write(to, model);
            return 0;
        });
    }

    [UnmanagedCallersOnly(EntryPoint = "cudasae_sae_free")]
    public static int Free(nint sae)
    {
        try
        {
            Handles.Free<OpenSae>(sae);
            return 0;
        }
        catch (Exception e) { return Errors.Report(e); }
    }
}
