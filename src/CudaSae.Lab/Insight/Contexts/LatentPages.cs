namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Makes a page for each latent: what it fires on, how often and how strongly, and which other latents fire
/// with it or point in the same direction. The script latents.js of the report reads the result.</summary>
static class LatentPages
{
    /// <summary>The maximum number of latents. Browsers cannot open a page with more.</summary>
    public const int MaxLatents = 1 << 18;

    /// <summary>Makes one pass over the source's rows, and the pages.</summary>
    /// <returns>The blob "latents" of a report; LatentBlob.cs documents its layout.</returns>
    /// <exception cref="SaeException">There are more than <see cref="MaxLatents"/> latents, an option is out of range,
    /// or the texts beside the data are damaged.</exception>
    public static byte[] Collect(Sae sae, RunSource source, LatentPageOptions options)
    {
        var collector = Collector(sae, source, options);
        return Finish(sae, source, collector, options,
            CodePass.Run(sae, source.Rows, collector));
    }

    /// <summary>Makes the visitor for a pass that other visitors share. <see cref="Finish"/> follows the
    /// pass.</summary>
    public static ContextCollector Collector(Sae sae, RunSource source, LatentPageOptions options)
    {
        if (sae.Latents > MaxLatents)
            throw new SaeException($"pages are made of at most {MaxLatents} latents, this SAE has {sae.Latents}; leave "
                + "them out");
        var filled = options.For(sae.Latents);
        return new(sae.Latents, source.Rows.First, filled.Contexts!.Value, filled.Samples!.Value, filled.CodeBytes);
    }

    /// <summary>Makes the pages after a pass over exactly the source's rows.</summary>
    /// <param name="leftOut">The number of left-out rows, which the pass returned.</param>
    public static byte[] Finish(Sae sae, RunSource source, ContextCollector collector, LatentPageOptions options,
        long leftOut = 0)
    {
        collector.End(source.Rows.Count, leftOut);
        var filled = options.For(sae.Latents);
        var texts = TokenTexts.Open(source.Rows.AtMost(collector.Rows), filled.Texts);
        var windows = new ContextWindows(collector, texts, filled.Window);
        WindowCodes.Fill(windows, collector, sae, source);
        // this may thin the codes, so it follows the windows
        var together = Coactivation.Of(collector.Codes, sae.Latents, filled.Partners!.Value);
        var similar = SimilarLatents.Of(sae.Model.Parameters.WDec, i => collector.Count(i) > 0, filled.Partners.Value);
        return LatentBlob.Write(sae.Model.Parameters, collector, windows, texts, together, similar, filled.Window,
            leftOut);
    }
}
