using CudaSae.Lab.Report;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>The pages of all latents in one compact array, which latents.js reads; little-endian throughout, varints
/// are LEB128.
/// <code>
/// header   u32 magic "CSLP", version 1, n, rows R, first row (low, high half), window W,
///          rows on which pairs were counted, pieces P, segments S, shown tokens T
/// origin   u8 length, UTF-8: where the tokens' texts come from
/// columns  u32 count [n] · f32 largest |value| [n] · f32 mean value of firings [n] · 
///          f32 cos(W_enc_i, W_dec_i) [n], NaN where the two differ in width · f32 ‖W_dec_i‖ [n] ·
///          u32 bytes of its entry [n]
/// entries  n of them, empty where count is 0:
///          varint [16]: histogram of |value|, bins 2^e wide with 8 · 2^e ≤ max &lt; 16 · 2^e
///          varint m, m × (varint latent, varint joint rows, f32 Jaccard): fires together with
///          varint m, m × (varint latent, f32 cosine of decoder rows): is similar to
///          varint c, c × (varint row, u8 bucket, f32 value, u8 tokens before, u8 tokens after, u8 m,
///          m × (u8 token of the window, i8 value in 127ths of max)): contexts; bucket 0 for the strongest, in their
///          order, else 1 to 5 for a random row of that fifth of the range; the row's own token is not among the m
/// texts    P × (u8 length, UTF-8); u32 first row [S]; u32 tokens [S]; index of each shown token's piece [T],
///          u16 where P ≤ 65536, else u32
/// </code>
/// Rows are counted from the first row. Texts are those of rows that some window shows, each row once, in segments of
/// consecutive rows.</summary>
static class LatentBlob
{
    public const uint Magic = 0x504c5343, Version = 1;

    /// <param name="together">Of <see cref="Coactivation"/>.</param>
    /// <param name="similar">Of <see cref="SimilarLatents"/>.</param>
    /// <param name="leftOut">Rows on which nothing fires because they are not finite; the origin of the texts says
    /// so.</param>
    public static byte[] Write(SaeParameters weights, ContextCollector collector, ContextWindows windows,
        TokenTexts texts, Partners together, Partners similar, int window, long leftOut)
    {
        var n = collector.Latents;
        var (entries, lengths) = (new BlobWriter(), new int[n]);
        for (var i = 0; i < n; i++)
        {
            var before = entries.Length;
            if (collector.Count(i) > 0) WriteEntry(entries, i, collector, windows, together, similar);
            lengths[i] = entries.Length - before;
        }
        var shown = new ShownTokens(windows, texts);
        var blob = new BlobWriter();
        ReadOnlySpan<long> header =
        [
            Magic, Version, n, collector.Rows, collector.FirstRow & uint.MaxValue, collector.FirstRow >> 32, window,
            collector.Codes.IsComplete
                ? collector.Rows : collector.Codes.Count,
            texts.Pieces.Count, shown.Segments, shown.Tokens,
        ];
        foreach (var number in header) blob.UInt32(number);
        blob.ShortText(leftOut > 0 ? $"{texts.Origin};{Words.LeftOut(leftOut).TrimEnd('.')}" : texts.Origin);
        for (var i = 0; i < n; i++) blob.UInt32(collector.Count(i));
        for (var i = 0; i < n; i++) blob.Float(collector.Max(i));
        for (var i = 0; i < n; i++) blob.Float(collector.Mean(i));
        for (var i = 0; i < n; i++)
            blob.Float(weights.WEnc.Columns == weights.WDec.Columns
                ? (float)Doubles.Cosine(weights.WEnc[i], weights.WDec[i]) : float.NaN);
        for (var i = 0; i < n; i++) blob.Float((float)Matrix.Norm(weights.WDec[i]));
        foreach (var length in lengths) blob.UInt32(length);
        blob.Append(entries);
        foreach (var piece in texts.Pieces) blob.ShortText(piece);
        shown.Write(blob);
        return blob.ToArray();
    }

    static void WriteEntry(BlobWriter to, int latent, ContextCollector collector, ContextWindows windows,
        Partners together, Partners similar)
    {
        foreach (var count in collector.Bins.Counts(latent)) to.Varint(count);
        to.Varint(together.Latents(latent).Length);
        for (var m = 0; m < together.Latents(latent).Length; m++)
        {
            to.Varint(together.Latents(latent)[m]);
            to.Varint(together.Joint(latent)[m]);
            to.Float(together.Scores(latent)[m]);
        }
        to.Varint(similar.Latents(latent).Length);
        for (var m = 0; m < similar.Latents(latent).Length; m++)
        {
            to.Varint(similar.Latents(latent)[m]);
            to.Float(similar.Scores(latent)[m]);
        }
        to.Varint(windows.Of(latent).Count());
        foreach (var item in windows.Of(latent)) WriteContext(to, item, windows);
    }

    static void WriteContext(BlobWriter to, int item, ContextWindows windows)
    {
        var (_, row, value, bucket) = windows[item];
        var (first, end) = windows.Window(item);
        to.Varint(row);
        to.Byte(bucket);
        to.Float(value);
        to.Byte(row - first);
        to.Byte(end - 1 - row);
        var levels = windows.LevelsOf(item);
        var others = 0;
        for (var t = 0; t < levels.Length; t++)
            if (levels[t] != 0 && first + t != row) others++;
        to.Byte(others);
        for (var t = 0; t < levels.Length; t++)
        {
            if (levels[t] == 0 || first + t == row) continue;
            to.Byte(t);
            to.Signed(levels.Slice(t, 1));
        }
    }
}
