namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Per latent the k rows on which it fires strongest, by |value|, equal ones in the order of rows. 8 bytes · n
/// · k.</summary>
/// <param name="latents">n.</param>
/// <param name="k">Rows kept a latent.</param>
sealed class TopRows(int latents, int k)
{
    readonly int[] row = new int[latents * k], count = new int[latents];
    readonly float[] value = new float[latents * k];

    /// <summary>Rows, strongest first, counted from the first one looked at.</summary>
    public ReadOnlySpan<int> Rows(int latent) => row.AsSpan(latent * k, count[latent]);
    public ReadOnlySpan<float> Values(int latent) => value.AsSpan(latent * k, count[latent]);

    /// <param name="at">Higher than in every call before, for this latent.</param>
    public void Offer(int latent, int at, float number)
    {
        int first = latent * k, place = count[latent];
        var magnitude = Math.Abs(number);
        if (place == k)
        {
            if (k == 0 || magnitude <= Math.Abs(value[first + k - 1])) return;
            place--;
        }
        else count[latent]++;
        for (; place > 0 && magnitude > Math.Abs(value[first + place - 1]); place--)
            (row[first + place], value[first + place]) = (row[first + place - 1], value[first + place - 1]);
        (row[first + place], value[first + place]) = (at, number);
    }
}
