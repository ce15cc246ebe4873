namespace CudaSae.Lab.Insight.Contexts;

/// <summary>How much is shown of each latent. What is null depends on how many latents there are, so that a page of
/// 65,536 stays below 25 MB.</summary>
sealed record LatentPageOptions
{
    /// <summary>Strongest rows a latent.</summary>
    public int? Contexts { get; init; }

    /// <summary>Random rows from each fifth of a latent's range.</summary>
    public int? Samples { get; init; }

    /// <summary>Latents named as firing together and as similar, each.</summary>
    public int? Partners { get; init; }

    /// <summary>Tokens shown on either side of a row.</summary>
    public int Window { get; init; } = 10;

    /// <summary>Room for codes, in bytes; where it is too small, windows are encoded a second time and pairs counted on
    /// a random share of the rows.</summary>
    public long CodeBytes { get; init; } = 256 << 20;

    public TextOptions Texts { get; init; } = new();

    /// <summary>Fills in what is null.</summary>
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
