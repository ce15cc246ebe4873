namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Per latent up to m others with a score each, best first, equal ones by number. 8 to 12 bytes · n ·
/// m.</summary>
/// <param name="latents">n.</param>
/// <param name="m">Others kept a latent.</param>
sealed class Partners(int latents, int m)
{
    readonly int[] latent = new int[latents * m], count = new int[latents], joint = new int[latents * m];
    readonly float[] score = new float[latents * m];

    public ReadOnlySpan<int> Latents(int of) => latent.AsSpan(of * m, count[of]);
    public ReadOnlySpan<float> Scores(int of) => score.AsSpan(of * m, count[of]);

    /// <summary>Rows on which both fire, where partners are those of firings.</summary>
    public ReadOnlySpan<int> Joint(int of) => joint.AsSpan(of * m, count[of]);

    /// <summary>Score that a further one must exceed.</summary>
    public float Floor(int of) =>
        m == 0 ? float.PositiveInfinity : count[of] < m ? float.NegativeInfinity : score[of * m + m - 1];

    public void Offer(int of, int other, float number, int rows = 0)
    {
        int first = of * m, place = count[of];
        if (place < m) count[of]++;
        else if (m == 0 || !Before(number, other, first + --place)) return;
        for (; place > 0 && Before(number, other, first + place - 1); place--)
            (latent[first + place], score[first + place], joint[first + place]) =
                (latent[first + place - 1], score[first + place - 1], joint[first + place - 1]);
        (latent[first + place], score[first + place], joint[first + place]) = (other, number, rows);
    }

    bool Before(float number, int other, int at) => number > score[at] || (number == score[at] && other < latent[at]);
}
