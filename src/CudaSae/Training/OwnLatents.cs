using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>The part of an SAE's weights that one rank holds.</summary>
static class OwnLatents
{
    /// <summary>Returns a spec for <see cref="SaeParameters"/> of a rank's own latents. It has the shapes of these
    /// weights, and is not the spec of an SAE.</summary>
    /// <param name="shard">The share of the rank; null for all latents.</param>
    public static SaeSpec Of(SaeSpec spec, ShardPlan? shard) =>
        shard is null ? spec : spec with { Latents = shard.Count };

    /// <summary>Copies a rank's rows out of the weights of all latents.</summary>
    public static SaeParameters Rows(SaeParameters all, ShardPlan shard)
    {
        var own = new SaeParameters(Of(shard.Spec, shard)) { BatchThreshold = all.BatchThreshold };
        for (long row = 0; row < shard.Count; row++)
        {
            all.WEnc[shard.First + row].CopyTo(own.WEnc[row]);
            all.WDec[shard.First + row].CopyTo(own.WDec[row]);
        }
        foreach (var (from, into) in Vectors(all).Zip(Vectors(own)))
            if (into.Length > 0) Array.Copy(from, shard.First, into, 0, into.Length);
        all.BDec.CopyTo(own.BDec, 0);
        all.WSkip.CopyTo(own.WSkip);
        return own;
    }

    /// <summary>Returns the vectors with one number a latent. A vector that the spec does not use is empty.</summary>
    public static float[][] Vectors(SaeParameters p) => [p.BEnc, p.Threshold, p.BMag, p.RMag, p.Scale];
}
