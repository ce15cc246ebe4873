using System.Runtime.Intrinsics;
using CudaSae.Distributed;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The reconstruction from dead latents in fixed point (<see cref="FixedPoint"/>). A lane is a row of the
/// batch, so each lane has its own scale.</summary>
sealed unsafe class FixedWindow : CpuPart
{
    readonly ShardPlan plan;
    readonly DeadWindow window;
    readonly int* integers;             // [panels][lo, 48]
    readonly float* largest, widest;    // [lanes] largest product of a row; [W] largest magnitude of a decoder row
    readonly long[] bits;
    readonly Action<int, int> boundPart, addPart, finishPart;

    // The sum in work.
    float* codes, decoder, sums;        // [panels][capacity, 48]; [lo, stride]; [panels][lo, 48]
    int stride;

    public FixedWindow(CpuContext context, ShardPlan plan, DeadWindow window) : base(context)
    {
        (this.plan, this.window) = (plan, window);
        integers = context.Arena.Take<int>("sums of the window in fixed point", (long)lanes * lo);
        largest = context.Arena.Take<float>("largest products of the window", lanes);
        widest = context.Arena.Take<float>("largest weights of the window", spec.DeadWindow);
        bits = new long[lanes];
        (boundPart, addPart, finishPart) = (Bound, Add, Finish);
    }

    /// <summary>Products that a row has at most, for any number of ranks.</summary>
    int Most => spec.Aux is { } aux ? Math.Min(aux.K, window.Total) : window.Total;

    /// <summary>Computes the sum over the window on all ranks.</summary>
    /// <param name="codes">[panels][capacity, 48] The code of this rank's part of the window.</param>
    /// <param name="decoder">[lo, stride] Its decoder rows, transposed.</param>
    /// <param name="sums">[panels][lo, 48] Receives the sum.</param>
    public void Sum(float* codes, float* decoder, int stride, float* sums)
    {
        this.codes = codes;
        this.decoder = decoder;
        this.sums = sums;
        this.stride = stride;
        new Span<float>(widest, window.Length).Clear();
        for (var i = 0; i < lo; i++)
            for (var s = 0; s < window.Length; s++)
                widest[s] = MathF.Max(widest[s], MathF.Abs(decoder[(long)i * stride + s]));
        workers.Run(panels, boundPart);
        FixedPoint.Share(plan, largest, bits);
        workers.Run(panels, addPart);
        plan.Collective.Sum(new Span<int>(integers, checked(lanes * lo)));
        workers.Run(panels, finishPart);
    }

    float* Code(int panel) => codes + (long)panel * spec.DeadWindow * Gemm.TileColumns;

    void Bound(int panel, int worker)
    {
        var to = largest + panel * Gemm.TileColumns;
        new Span<float>(to, Gemm.TileColumns).Clear();
        var c = Code(panel);
        for (var s = 0; s < window.Length; s++, c += Gemm.TileColumns)
            for (var lane = 0; lane < Gemm.TileColumns; lane++)
                to[lane] = MathF.Max(to[lane], MathF.Abs(c[lane]) * widest[s]);
    }

    void Add(int panel, int worker)
    {
        var to = integers + (long)panel * lo * Gemm.TileColumns;
        new Span<int>(to, lo * Gemm.TileColumns).Clear();
        var c = Code(panel);
        for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
        {
            var scale = Scales(panel, lane);
            for (var s = 0; s < window.Length; s++)
            {
                var scaled = scale * Vector512.Load(c + s * Gemm.TileColumns + lane);
                if (Vector512.EqualsAll(scaled, Vector512<float>.Zero)) continue;
                var at = to + lane;
                for (var i = 0; i < lo; i++, at += Gemm.TileColumns)
                    (Vector512.Load(at) + FixedPoint.Round(scaled * Vector512.Create(decoder[(long)i * stride + s])))
                        .Store(at);
            }
        }
    }

    void Finish(int panel, int worker)
    {
        int* from = integers + (long)panel * lo * Gemm.TileColumns;
        var to = sums + (long)panel * lo * Gemm.TileColumns;
        for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
        {
            var back = Vector512.Create(1f) / Scales(panel, lane);
            for (var i = lane; i < lo * Gemm.TileColumns; i += Gemm.TileColumns)
                (Vector512.ConvertToSingle(Vector512.Load(from + i)) * back).Store(to + i);
        }
    }

    /// <summary>The scales of sixteen lanes.</summary>
    Vector512<float> Scales(int panel, int lane)
    {
        var scales = stackalloc float[16];
        for (var i = 0; i < 16; i++)
            scales[i] = FixedPoint.Scale(largest[panel * Gemm.TileColumns + lane + i], Math.Max(Most, 1));
        return Vector512.Load(scales);
    }
}
