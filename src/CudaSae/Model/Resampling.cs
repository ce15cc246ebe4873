using CudaSae.Numerics;

namespace CudaSae.Model;

/// <summary>Neuron resampling (Bricken et al. 2023): latents silent for a window are given the direction of an input
/// drawn with probability ∝ loss², an encoder row of a share of
/// the living ones' mean norm, bias 0 and empty moments.</summary>
/// <param name="Every">Steps between two resamplings.</param>
/// <param name="Times">Resamplings in all.</param>
/// <param name="DeadAfterSteps">Steps without firing after which a latent is resampled; 0 for
/// <paramref name="Every"/>.</param>
/// <param name="Inputs">Rows whose loss is measured to draw from; 819,200 in the publication.</param>
/// <param name="EncoderNorm">Norm of a new encoder row, in units of the mean norm of living ones.</param>
/// <param name="Protected">Share of the latents, chosen by the seed, that is never resampled, so that their firing can
/// be watched.</param>
/// <param name="RecoverySteps">After a resampling the learning rate drops to a tenth and returns over so many steps
/// along a cosine (Rajamanoharan et al. 2024); 0 for no drop.</param>
public sealed record Resampling(int Every, int Times = 4, int DeadAfterSteps = 0, int Inputs = 819_200,
    float EncoderNorm = 0.2f, float Protected = 0, int RecoverySteps = 0)
{
    public int Window => DeadAfterSteps > 0 ? DeadAfterSteps : Every;

    /// <summary>Whether step t, from 1, ends with a resampling.</summary>
    public bool IsDue(long step) => step % Every == 0 && step / Every <= Times;

    /// <summary>Factor of the learning rate at step t.</summary>
    public double RateFactor(long step)
    {
        var last = Math.Min((step - 1) / Every, Times) * Every;
        if (RecoverySteps == 0 || last == 0 || step - 1 - last >= RecoverySteps) return 1;
        return 0.1 + 0.45 * (1 - Math.Cos(Math.PI * (step - 1 - last) / RecoverySteps));
    }

    /// <summary>Whether a latent belongs to the protected share.</summary>
    public bool IsProtected(ulong seed, int latent) =>
        (SplitMix.Mix(seed ^ SplitMix.Mix((ulong)latent + 0x70726f74)) >> 11) * Math.Pow(2, -53) < Protected;

    internal void Validate()
    {
        Require(Every >= 1, nameof(Every), Every, "1 or more");
        Require(Times >= 1, nameof(Times), Times, "1 or more");
        Require(DeadAfterSteps >= 0, nameof(DeadAfterSteps), DeadAfterSteps, "0 or more");
        Require(Inputs >= 1, nameof(Inputs), Inputs, "1 or more");
        Require(EncoderNorm is > 0 and <= 1e6f, nameof(EncoderNorm), EncoderNorm, "above 0, at most 1e6");
        Require(Protected is >= 0 and <= 1, nameof(Protected), Protected, "0 to 1");
        Require(RecoverySteps >= 0, nameof(RecoverySteps), RecoverySteps, "0 or more");
    }

    static void Require(bool good, string field, object value, string range)
    {
        if (!good) throw new SaeException($"Resampling.{field} = {value} is out of range: it must be {range}");
    }
}
