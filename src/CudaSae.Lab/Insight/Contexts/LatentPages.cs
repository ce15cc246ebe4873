namespace CudaSae.Lab.Insight.Contexts;

/// <summary>A page a latent: what it fires on, how often and how strongly, and which others fire with it or point the
/// same way.
/// The result is what the report's latents.js reads.</summary>
static class LatentPages
{
    /// <summary>More would make a page that no browser opens.</summary>
    public const int MaxLatents = 1 << 18;

    /// <summary>One pass over the source's rows, and the pages.</summary>
    /// <returns>The blob "latents" of a report; its layout stands in LatentBlob.cs.</returns>
    /// <exception cref="SaeException">There are more than <see cref="MaxLatents"/> latents, an option is out of range,
    /// or texts beside the data are damaged.</exception>
    public static byte[] Collect(Sae sae, RunSource source, LatentPageOptions options)
    {
        var collector = Collector(sae, source, options);
        return Finish(sae, source, collector, options,
            CodePass.Run(sae, source.Data, source.FirstRow, source.Rows, collector));
    }

    /// <summary>The visitor, for a pass that is shared with others; afterwards <see cref="Finish"/>.</summary>
    public static ContextCollector Collector(Sae sae, RunSource source, LatentPageOptions options)
    {
        if (sae.Latents > MaxLatents)
            throw new SaeException($"pages are made of at most {MaxLatents} latents, this SAE has {sae.Latents}; leave "
                + "them out");
        var filled = options.For(sae.Latents);
        return new(sae.Latents, source.FirstRow, filled.Contexts!.Value, filled.Samples!.Value, filled.CodeBytes);
    }

    /// <summary>The pages, after a pass over exactly the source's rows.</summary>
    /// <param name="leftOut">What the pass returned.</param>
    public static byte[] Finish(Sae sae, RunSource source, ContextCollector collector, LatentPageOptions options,
        long leftOut = 0)
    {
        collector.End(source.Rows, leftOut);
        var filled = options.For(sae.Latents);
        var texts = TokenTexts.Open(source.Data, source.FirstRow, collector.Rows, filled.Texts);
        var windows = new ContextWindows(collector, texts, filled.Window);
        WindowCodes.Fill(windows, collector, sae, source);
        // may thin the codes: after the windows
        var together = Coactivation.Of(collector.Codes, sae.Latents, filled.Partners!.Value);
        var similar = SimilarLatents.Of(sae.Model.Parameters.WDec, i => collector.Count(i) > 0, filled.Partners.Value);
        return LatentBlob.Write(sae.Model.Parameters, collector, windows, texts, together, similar, filled.Window,
            leftOut);
    }
}
