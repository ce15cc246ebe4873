namespace CudaSae.Lab.Insight.Contexts;

/// <summary>The rows in any window, each once, as segments of consecutive rows.</summary>
sealed class ShownTokens
{
    readonly List<(int First, int Length)> segments = [];
    readonly TokenTexts texts;

    public ShownTokens(ContextWindows windows, TokenTexts texts)
    {
        this.texts = texts;
        if (!texts.HasTokens) return;
        var shown = new bool[texts.Rows];
        for (var item = 0; item < windows.Count; item++)
        {
            var (first, end) = windows.Window(item);
            shown.AsSpan(first, end - first).Fill(true);
        }
        for (var row = 0; row < shown.Length; row++)
        {
            if (!shown[row]) continue;
            var first = row;
            while (row < shown.Length && shown[row]) row++;
            segments.Add((first, row - first));
            Tokens += row - first;
        }
    }

    public int Segments => segments.Count;
    public int Tokens { get; }

    public void Write(BlobWriter to)
    {
        foreach (var (first, _) in segments) to.UInt32(first);
        foreach (var (_, length) in segments) to.UInt32(length);
        foreach (var (first, length) in segments)
            for (var row = first; row < first + length; row++)
            {
                var piece = texts.PieceOf(row);
                to.Byte(piece & 255);
                to.Byte(piece >> 8 & 255);
                if (texts.Pieces.Count <= 1 << 16) continue;
                to.Byte(piece >> 16 & 255);
                to.Byte(piece >> 24);
            }
    }
}
