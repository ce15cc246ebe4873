namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Keeps for each latent the k rows on which it fires most strongly, by |value|, and equal ones in the order
/// of rows. It takes 8 bytes · n · k.</summary>
/// <param name="latents">n.</param>
/// <param name="k">Rows kept for each latent.</param>
sealed class TopRows(int latents, int k)
{
    readonly int[] row = new int[latents * k], count = new int[latents];
    readonly float[] value = new float[latents * k];

    /// <summary>The rows, strongest first, counted from the first row of the pass.</summary>
    public ReadOnlySpan<int> Rows(int latent) => row.AsSpan(latent * k, count[latent]);
    public ReadOnlySpan<float> Values(int latent) => value.AsSpan(latent * k, count[latent]);

    /// <param name="at">A row higher than in all earlier calls for this latent.</param>
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
