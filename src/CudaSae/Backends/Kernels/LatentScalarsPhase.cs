using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>Computes the scalars of latents, such as thresholds and decoder norms, before encoding
/// (kernels/latent_scalars.cu).</summary>
sealed unsafe class LatentScalarsPhase
{
    const int Block = 256, SpreadRows = 48;

    readonly KernelContext context;
    readonly DeviceArray<float> spreadZ;

    public LatentScalarsPhase(KernelContext context)
    {
        this.context = context;
        var adaptive = context.Spec.Selection is Selection.JumpRelu { AdaptiveBandwidth: true };
        long n = adaptive ? context.Latents : 0;
        spreadZ = context.Arena.Take<float>("spread sample", n * SpreadRows);
        SpreadMean = context.Arena.Take<float>("spread, mean", n);
        SpreadVariance = context.Arena.Take<float>("spread, variance", n);
    }

    public DeviceArray<float> SpreadMean { get; }
    public DeviceArray<float> SpreadVariance { get; }

    public void Run()
    {
        var (buffers, n, ld) = (context.Buffers, context.Latents, context.Ld);
        var rows = Math.Min(context.Rows, SpreadRows);
        var parameters = new LatentScalarsParams
        {
            Loss = context.Loss, Scalars = buffers.Scalars.Pointer, WDecHi = buffers.WDecHi.Pointer,
            WDecLo = buffers.WDecLo.Pointer, BEnc = buffers.BEnc.Pointer,
            Threshold = buffers.Threshold.Pointer, BMag = buffers.BMag.Pointer, RMag = buffers.RMag.Pointer,
            LastFired = buffers.LastFired.Pointer,
            SpreadZ = spreadZ.Pointer, SpreadMean = SpreadMean.Pointer, SpreadVariance = SpreadVariance.Pointer,
            Latents = buffers.Latents.Pointer,
            Count = n, Lo = context.Lo, SpreadRows = rows,
        };
        parameters.Sites = context.Sites(parameters.SiteWidth);
        if (spreadZ.Length > 0)
        {
            context.Product(rows, n, ld,
                new()
                {
                    A = buffers.XCentered.Pointer, AM = ld, AK = 1, ABf16 = 1, B = buffers.WEncHi.Pointer, BK = 1,
                    BN = ld, BBf16 = 1, C = spreadZ.Pointer, CStride = n
                });
            context.Launch("latent_spread", new(context.Blocks(n, Block), Block), parameters);
        }
        context.Launch("latent_scalars", new(context.Blocks(n, Block / 32), Block), parameters);
        if (buffers.InputSum.Length > 0)
            context.Launch("input_sum", new(ld / 64, Block, SharedMemory.InputSum), new InputSumParams
            {
                XCentered = buffers.XCentered.Pointer, InputSum = buffers.InputSum.Pointer,
                Rows = context.Rows, Ld = ld,
            });
    }
}
