using CudaSae.Lab.Report;

namespace CudaSae.Lab.Insight.Images;

/// <summary>Vectors as grey pictures, each scaled by itself.</summary>
static class Pictures
{
    /// <summary>Zero as 128, the largest magnitude as 1 or 255: what is signed.</summary>
    public static ImagesFigure Signed(string id, string title, int width, IReadOnlyList<float[]> vectors,
        string[] captions) =>
        Make(id, title, width, vectors, captions, v => Enumerable.Max(v, Math.Abs),
            (x, most) => 128 + 127 * x / most) with
        { Signed = true };

    /// <summary>Zero as black, the largest as white; what is below zero is black.</summary>
    public static ImagesFigure Unsigned(string id, string title, int width, IReadOnlyList<float[]> vectors,
        string[] captions) =>
        Make(id, title, width, vectors, captions, Enumerable.Max, (x, most) => 255 * x / most);

    static ImagesFigure Make(string id, string title, int width, IReadOnlyList<float[]> vectors, string[] captions,
        Func<float[], float> largest, Func<float, float, float> grey)
    {
        var pixels = vectors.Count == 0 ? 0 : vectors[0].Length;
        var bytes = new byte[vectors.Count * pixels];
        for (var i = 0; i < vectors.Count; i++)
        {
            var most = Math.Max(largest(vectors[i]), 1e-30f);
            for (var p = 0; p < pixels; p++)
                bytes[i * pixels + p] = (byte)Math.Clamp(MathF.Round(grey(vectors[i][p], most)), 0, 255);
        }
        return new(id, title, width, pixels / width, bytes, captions);
    }
}
