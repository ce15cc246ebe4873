using CudaSae.Lab.Harvest;
using CudaSae.Numerics;

namespace CudaSae.Lab.Downstream;

/// <summary>One site of a network while sequences pass: what is there, what an SAE makes of it, and hooks that put
/// something in its place.
/// Where BOS is excluded, tokens that begin a sequence are not reconstructed, and count nowhere; ablations take them
/// all the same, as SAEBench's do.</summary>
sealed class SpliceSite
{
    readonly string name;
    readonly int width;
    readonly int? excluded;
    readonly Sae sae;
    readonly SparseRows codes = new();
    readonly List<int> places = [];         // of kept tokens
    int tokens;                             // with those that are not kept

    /// <exception cref="SaeException">There is no such site, or the SAE does not take what is there.</exception>
    public SpliceSite(IHostModel model, Sae sae, string site, bool excludeBos)
    {
        (name, width) = model.Site(site);
        (this.sae, excluded) = (sae, excludeBos ? model.Bos : null);
        if (sae.Spec.Transcoder is not null || sae.Spec.Sites is not null)
            throw new SaeException("a transcoder or crosscoder reads and writes different sites; only an SAE of one "
                + "site can be spliced in");
        if (sae.InputWidth != width)
            throw new SaeException($"{site} is {width} wide, the SAE takes {sae.InputWidth}; name the site that it was "
                + "trained on");
        Totals = new(width, sae.Latents);
    }

    public ReconstructionTotals Totals { get; }

    /// <summary>[kept tokens, width] of the sequence.</summary>
    public float[] Original { get; private set; } = [];
    public float[] Reconstruction { get; private set; } = [];

    public bool Keeps(int id) => id != excluded;

    /// <summary>The next sequence.</summary>
    public void Begin(ReadOnlySpan<int> ids)
    {
        places.Clear();
        tokens = ids.Length;
        for (var t = 0; t < ids.Length; t++)
            if (Keeps(ids[t])) places.Add(t);
        if (Original.Length != places.Count * width)
            (Original, Reconstruction) = (new float[places.Count * width], new float[places.Count * width]);
    }

    /// <summary>Copies what is there.</summary>
    public void Capture(string site, Matrix activations)
    {
        if (site != name) return;
        for (var i = 0; i < places.Count; i++) activations[places[i]].CopyTo(Original.AsSpan(i * width));
    }

    /// <summary>Puts rows [kept tokens, width] there; the others stay.</summary>
    public Action<string, Matrix> Put(float[] rows) => (site, activations) =>
    {
        if (site != name) return;
        for (var i = 0; i < places.Count; i++) rows.AsSpan(i * width, width).CopyTo(activations[places[i]]);
    };

    /// <summary>Ablates: puts one row in every token's place.</summary>
    public Action<string, Matrix> PutEverywhere(float[] row) => (site, activations) =>
    {
        if (site != name) return;
        for (var t = 0; t < tokens; t++) row.CopyTo(activations[t]);
    };

    public Action<string, Matrix> PutZero() => PutEverywhere(new float[width]);

    /// <summary>The SAE on what was captured.</summary>
    public void Reconstruct()
    {
        sae.Reconstruct(Original, Reconstruction, codes);
        for (var i = 0; i < places.Count; i++)
            Totals.Add(Original.AsSpan(i * width, width), Reconstruction.AsSpan(i * width, width), codes.Indices(i),
                codes.Values(i));
    }

    /// <summary>The captured rows a second time, when the mean of all is known.</summary>
    public void Again(ReadOnlySpan<double> mean)
    {
        for (var i = 0; i < places.Count; i++) Totals.AddAgain(Original.AsSpan(i * width, width), mean);
    }
}
