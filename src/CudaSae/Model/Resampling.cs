using CudaSae.Numerics;

namespace CudaSae.Model;

/// <summary>Neuron resampling (Bricken et al. 2023). A latent that has not fired for a window gets the direction of an
/// input drawn with probability ∝ loss². Its encoder row gets a share of the mean norm of the other latents, its bias
/// is 0 and its moments are empty.</summary>
/// <param name="Every">Steps between two resamplings.</param>
/// <param name="Times">Total number of resamplings.</param>
/// <param name="DeadAfterSteps">Steps without firing after which a latent is resampled; 0 selects
/// <paramref name="Every"/>.</param>
/// <param name="Inputs">Rows whose loss is measured and from which inputs are drawn; 819,200 in the
/// publication.</param>
/// <param name="EncoderNorm">Norm of a new encoder row, in units of the mean norm of the latents that are not
/// resampled.</param>
/// <param name="Protected">Share of the latents, chosen by the seed, that is never resampled and serves as a
/// control.</param>
/// <param name="RecoverySteps">Number of steps over which the learning rate returns along a cosine after it dropped to
/// a tenth at a resampling (Rajamanoharan et al. 2024); 0 for no drop.</param>
public sealed record Resampling(int Every, int Times = 4, int DeadAfterSteps = 0, int Inputs = 819_200,
    float EncoderNorm = 0.2f, float Protected = 0, int RecoverySteps = 0)
{
    /// <summary>Steps without firing after which a latent is resampled.</summary>
    public int Window => DeadAfterSteps > 0 ? DeadAfterSteps : Every;

    /// <summary>Returns whether a step ends with a resampling.</summary>
    /// <param name="step">The step, counted from 1.</param>
    public bool IsDue(long step) => step % Every == 0 && step / Every <= Times;

    /// <summary>Returns the factor of the learning rate at a step.</summary>
    /// <param name="step">The step, counted from 1.</param>
    public double RateFactor(long step)
    {
        var last = Math.Min((step - 1) / Every, Times) * Every;
        if (RecoverySteps == 0 || last == 0 || step - 1 - last >= RecoverySteps) return 1;
        return 0.1 + 0.45 * (1 - Math.Cos(Math.PI * (step - 1 - last) / RecoverySteps));
    }

    /// <summary>Returns whether a latent belongs to the protected share.</summary>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="latent">Index of the latent.</param>
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
        if (!good) throw SettingRange.OutOfRange($"Resampling.{field}", value, range);
    }
}
