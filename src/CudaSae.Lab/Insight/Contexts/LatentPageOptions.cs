namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Options of the latent pages. The defaults for null depend on the number of latents, so that a page of
/// 65,536 latents stays below 25 MB.</summary>
sealed record LatentPageOptions
{
    /// <summary>Number of strongest rows of a latent.</summary>
    public int? Contexts { get; init; }

    /// <summary>Number of random rows from each fifth of a latent's range.</summary>
    public int? Samples { get; init; }

    /// <summary>Number of latents listed as firing together, and as similar.</summary>
    public int? Partners { get; init; }

    /// <summary>Number of tokens shown on either side of a row.</summary>
    public int Window { get; init; } = 10;

    /// <summary>Memory for codes, in bytes. If it is too small, windows are encoded a second time, and pairs are
    /// counted on a random share of the rows.</summary>
    public long CodeBytes { get; init; } = 256 << 20;

    public TextOptions Texts { get; init; } = new();

    /// <summary>Replaces null by the defaults.</summary>
    /// <exception cref="SaeException">A number is out of its range.</exception>
    public LatentPageOptions For(int latents)
    {
        var (contexts, samples, partners) = latents <= 16384 ? (8, 2, 8) : latents <= 65536 ? (5, 1, 5) : (3, 0, 3);
        var filled = this with
        {
            Contexts = Contexts ?? contexts,
            Samples = Samples ?? samples,
            Partners = Partners ?? partners
        };
        Require("contexts a latent", filled.Contexts.Value, 1, 100);
        Require("samples of each fifth", filled.Samples.Value, 0, 20);
        Require("partners a latent", filled.Partners.Value, 0, 100);
        Require("tokens on either side", filled.Window, 0, 100);
        return filled;
    }

    static void Require(string name, int value, int least, int most)
    {
        if (value < least || value > most) throw new SaeException($"{value} {name}; {least} to {most} are possible");
    }
}
