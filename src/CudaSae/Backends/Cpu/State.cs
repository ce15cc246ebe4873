using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends.Cpu;

/// <summary>Weights in and out, and what a checkpoint holds.</summary>
public sealed unsafe partial class CpuBackend
{
    List<(StateArray Array, nint Memory)>? state;

    public void SetParameters(SaeParameters parameters)
    {
        if (used) Clear();
        CopyIn(parameters.WEnc, wEnc);
        CopyIn(parameters.WDec, wDec);
        parameters.BEnc.CopyTo(new Span<float>(bEnc, n));
        parameters.BDec.CopyTo(new Span<float>(bDec, d));
        if (Config.EmaDecay <= 0) return;
        CopyIn(parameters.WEnc, emaEnc);
        CopyIn(parameters.WDec, emaDec);
        parameters.BEnc.CopyTo(new Span<float>(emaBEnc, n));
        parameters.BDec.CopyTo(new Span<float>(emaBDec, d));
    }

    bool used;      // fresh memory is zero already, and not yet resident

    void Clear()
    {
        foreach (var (array, memory) in Arrays)
            for (long at = 0; at < array.Bytes; at += 1 << 30)
                new Span<byte>((byte*)memory + at, (int)Math.Min(1 << 30, array.Bytes - at)).Clear();
        *previousNorm = double.NaN;
        (windowLength, dead, used) = (0, 0, false);
    }

    public void GetParameters(SaeParameters into) => CopyOut(wEnc, wDec, bEnc, bDec, into);

    public void GetAverage(SaeParameters into)
    {
        if (Config.EmaDecay <= 0) throw new SaeException("no average of the weights was kept: EmaDecay is 0");
        CopyOut(emaEnc, emaDec, emaBEnc, emaBDec, into);
    }

    void CopyIn(Matrix from, float* to)
    {
        if (from.Rows != n || from.Columns != d) throw new ArgumentException($"weights [{from.Rows}, {from.Columns}] for an SAE [{n}, {d}]");
        for (var f = 0; f < n; f++) from[f].CopyTo(new Span<float>(to + (long)f * ld, d));
    }

    void CopyOut(float* enc, float* dec, float* encBias, float* decBias, SaeParameters into)
    {
        for (var f = 0; f < n; f++)
        {
            new ReadOnlySpan<float>(enc + (long)f * ld, d).CopyTo(into.WEnc[f]);
            new ReadOnlySpan<float>(dec + (long)f * ld, d).CopyTo(into.WDec[f]);
        }
        new ReadOnlySpan<float>(encBias, n).CopyTo(into.BEnc);
        new ReadOnlySpan<float>(decBias, d).CopyTo(into.BDec);
    }

    public IReadOnlyList<StateArray> State => [.. Arrays.Select(a => a.Array)];

    List<(StateArray Array, nint Memory)> Arrays => state ??= ListArrays();

    List<(StateArray, nint)> ListArrays()
    {
        var list = new List<(StateArray, nint)>();
        void Floats(string name, float* memory, params long[] shape) => list.Add((new(name, "F32", shape), (nint)memory));
        Floats("w_enc", wEnc, n, ld);
        Floats("w_dec", wDec, n, ld);
        Floats("b_enc", bEnc, n);
        Floats("b_dec", bDec, ld);
        if (Config.Optimizer == OptimizerKind.Adam)
        {
            if (Config.Beta1 > 0)
            {
                Floats("adam_m_enc", mEnc, n, ld);
                Floats("adam_m_dec", mDec, n, ld);
            }
            Floats("adam_v_enc", vEnc, n, ld);
            Floats("adam_v_dec", vDec, n, ld);
            Floats("adam_m_b_enc", mBEnc, n);
            Floats("adam_v_b_enc", vBEnc, n);
            Floats("adam_m_b_dec", mBDec, ld);
            Floats("adam_v_b_dec", vBDec, ld);
        }
        if (Config.EmaDecay > 0)
        {
            Floats("ema_w_enc", emaEnc, n, ld);
            Floats("ema_w_dec", emaDec, n, ld);
            Floats("ema_b_enc", emaBEnc, n);
            Floats("ema_b_dec", emaBDec, ld);
        }
        list.Add((new("last_fired", "I32", [n]), (nint)lastFired));
        if (Config.Lazy) list.Add((new("last_touched", "I32", [n]), (nint)lastTouched));
        list.Add((new("previous_norm", "U8", [sizeof(double)]), (nint)previousNorm));
        return list;
    }

    public void ReadState(StateArray array, long offset, Span<byte> into) => Bytes(array, offset, into.Length).CopyTo(into);

    public void WriteState(StateArray array, long offset, ReadOnlySpan<byte> from) => from.CopyTo(Bytes(array, offset, from.Length));

    /// <summary>Rebuilds what is derived from the state: the window of dead latents for the step after <paramref name="step"/>.</summary>
    public void AfterRestore(uint step, uint deadAfterSteps) => FindDead(step, deadAfterSteps);

    Span<byte> Bytes(StateArray array, long offset, int length)
    {
        used = true;
        var found = Arrays.Find(a => a.Array.Name == array.Name);
        if (found.Memory == 0 || offset < 0 || offset + length > found.Array.Bytes) throw new ArgumentException($"no bytes {offset}..{offset + length} in state {array.Name}");
        return new((byte*)found.Memory + offset, length);
    }
}
