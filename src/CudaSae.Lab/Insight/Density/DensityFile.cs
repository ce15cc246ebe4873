using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace CudaSae.Lab.Insight.Density;

/// <summary>A window of training steps: how often each latent fired in it.</summary>
/// <param name="Step">The window's last step.</param>
/// <param name="Rows">Rows of the window.</param>
/// <param name="Firings">Of the latents that are kept, [kept].</param>
/// <param name="Resampled">Whether each kept latent was resampled in the window.</param>
/// <param name="Protected">Whether each kept latent was dead when others were resampled, and left alone.</param>
/// <param name="Octaves">Of all n latents: silent ones at place 0; at place 1 + j those of density in (2^−(j+1),
/// 2^−j].</param>
sealed record DensityWindow(long Step, long Rows, uint[] Firings, bool[] Resampled, bool[] Protected, int[] Octaves);

/// <summary>density.bin of a run: a header, then records of one length, appended; what a crash cut off at the end does
/// not count. Little-endian:
/// "CSDENS01", n, kept, batch rows (int32), the kept latents (int32 each); a record is step, rows (int64), firings
/// (uint32 a kept latent), two sets of bits (a bit a kept latent, to whole bytes), octaves (int32).</summary>
sealed class DensityFile
{
    public const string Name = "density.bin";
    internal const int OctaveCount = 40, Fixed = 20, MaxLatents = 1 << 26;
    static ReadOnlySpan<byte> Magic => "CSDENS01"u8;

    readonly byte[] bytes;

    /// <param name="path">The file.</param>
    /// <exception cref="SaeException">It is no such file.</exception>
    public DensityFile(string path)
    {
        try { bytes = File.ReadAllBytes(path); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{path} cannot be read: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
        if (bytes.Length < Fixed || !bytes.AsSpan(0, 8).SequenceEqual(Magic))
            throw new SaeException($"{path} is no log of densities; delete it, or train with --density-every again",
                kind: SaeErrorKind.Files);
        (Latents, var kept, BatchRows) = (Int(8), Int(12), Int(16));
        if (Latents is < 1 or > MaxLatents || kept < 1 || kept > Latents || BatchRows < 1
            || bytes.Length < HeaderBytes(kept))
            throw new SaeException($"{path} is damaged: its header says {Latents} latents, {kept} of them kept; delete "
                + "it",
                kind: SaeErrorKind.Files);
        Kept = new int[kept];
        Buffer.BlockCopy(bytes, Fixed, Kept, 0, kept * sizeof(int));
        if (Kept.Any(f => f < 0 || f >= Latents))
            throw new SaeException($"{path} is damaged: it keeps a latent that there is not; delete it",
                kind: SaeErrorKind.Files);
        Count = (bytes.Length - HeaderBytes(kept)) / RecordBytes(kept);
    }

    /// <summary>n.</summary>
    public int Latents { get; }

    /// <summary>Latents whose firings are kept, ascending: all, or a sample.</summary>
    public int[] Kept { get; }
    public int BatchRows { get; }

    /// <summary>Whole windows.</summary>
    public int Count { get; }

    static int Bits(int kept) => (kept + 7) / 8;
    internal static int HeaderBytes(int kept) => Fixed + kept * sizeof(int);
    internal static int RecordBytes(int kept) => 16 + kept * sizeof(uint) + 2 * Bits(kept) + OctaveCount * sizeof(int);

    int Int(int at) => BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(at));
    int Start(int window) => HeaderBytes(Kept.Length) + window * RecordBytes(Kept.Length);

    /// <summary>Last step of a window.</summary>
    public long StepOf(int window) => BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(Start(window)));

    /// <summary>A window, from 0, in the order of steps.</summary>
    public DensityWindow this[int window]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)window, (uint)Count, nameof(window));
            var (at, kept) = (Start(window), Kept.Length);
            var (firings, octaves) = (new uint[kept], new int[OctaveCount]);
            Buffer.BlockCopy(bytes, at + 16, firings, 0, kept * sizeof(uint));
            Buffer.BlockCopy(bytes, at + 16 + kept * sizeof(uint) + 2 * Bits(kept), octaves, 0,
                OctaveCount * sizeof(int));
            var rows = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at + 8));
            if (rows < 1 || firings.Any(f => f > rows))
                throw new SaeException($"{Name} is damaged: window {window} counts more firings than rows; delete it",
                    kind: SaeErrorKind.Files);
            return new(StepOf(window), rows, firings, Flags(at + 16 + kept * sizeof(uint)),
                Flags(at + 16 + kept * sizeof(uint) + Bits(kept)), octaves);
        }
    }

    bool[] Flags(int at) => [.. Enumerable.Range(0, Kept.Length).Select(i => (bytes[at + i / 8] >> i % 8 & 1) != 0)];

    internal static byte[] Header(int latents, int[] kept, int batchRows)
    {
        var header = new byte[HeaderBytes(kept.Length)];
        Magic.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), latents);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(12), kept.Length);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(16), batchRows);
        MemoryMarshal.AsBytes(kept.AsSpan()).CopyTo(header.AsSpan(Fixed));
        return header;
    }

    internal static byte[] Record(DensityWindow window)
    {
        var kept = window.Firings.Length;
        var record = new byte[RecordBytes(kept)];
        BinaryPrimitives.WriteInt64LittleEndian(record, window.Step);
        BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(8), window.Rows);
        MemoryMarshal.AsBytes(window.Firings.AsSpan()).CopyTo(record.AsSpan(16));
        var flags = record.AsSpan(16 + kept * sizeof(uint));
        for (var i = 0; i < kept; i++)
        {
            if (window.Resampled[i]) flags[i / 8] |= (byte)(1 << i % 8);
            if (window.Protected[i]) flags[Bits(kept) + i / 8] |= (byte)(1 << i % 8);
        }
        MemoryMarshal.AsBytes(window.Octaves.AsSpan()).CopyTo(record.AsSpan(record.Length - OctaveCount * sizeof(int)));
        return record;
    }

    /// <summary>The octave of a density: 0 for a silent latent.</summary>
    internal static int Octave(ulong firings, ulong rows)
    {
        if (firings == 0) return 0;
        var j = 0;
        while (j < OctaveCount - 2 && firings << j + 1 <= rows && BitOperations.LeadingZeroCount(firings) > j + 1) j++;
        return 1 + j;
    }
}
