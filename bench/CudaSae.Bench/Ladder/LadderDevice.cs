using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Numerics;

namespace CudaSae.Bench.Ladder;

/// <summary>Holds the ladder's operands and results on a device, launches a rung, and checks its result.</summary>
sealed unsafe class LadderDevice : IDisposable
{
    /// <summary>Candidates a row, many more than the limit admits.</summary>
    const int Capacity = 2048;

    const int Chunk = 16 << 20;     // floats of C in one copy to the host

    readonly IDevice device;
    readonly LadderProblem problem;
    readonly nint stream;
    readonly Owned owned;
    readonly ulong x, w, bias, c, limit, count, candidates;
    readonly Dictionary<int, (double[] Value, double[] Allowed)> reference = [];

    /// <param name="device">Not owned.</param>
    /// <exception cref="SaeException">The device has too little memory free.</exception>
    public LadderDevice(IDevice device, LadderProblem problem)
    {
        KernelModules.Include(typeof(LadderDevice).Assembly);
        (this.device, this.problem) = (device, problem);
        var plan = new MemoryPlan();
        long rows = problem.Rows, columns = problem.Columns,
            outputs = Math.Max(rows * columns * sizeof(float), rows * Capacity * sizeof(ulong));
        plan.Add("x", rows * problem.Depth * sizeof(ushort));
        plan.Add("w", columns * problem.Depth * sizeof(ushort));
        plan.Add("bias, limits and counts", (columns + 2 * rows) * sizeof(float));
        plan.Add("C, or candidates", outputs);
        var free = device.FreeBytes();
        if (plan.TotalBytes > free)
            throw new SaeException($"the ladder needs {MemoryPlan.Format(plan.TotalBytes)} on {device.Info.Name}, "
                + $"{MemoryPlan.Format(free)} are free; use a smaller --shape",
                kind: SaeErrorKind.Memory);
        owned = new(device);
        try
        {
            stream = owned.Stream();
            (x, w, bias) = (Upload(problem.X), Upload(problem.W), Upload(problem.Bias));
            (limit, count) = (owned.Memory(rows * sizeof(uint)), owned.Memory(rows * sizeof(int)));
            device.Fill32(limit, LadderCheck.KeyAbove(LadderProblem.Limit), rows, stream);
            c = candidates = owned.Memory(outputs);
            device.Synchronize(stream);
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }

    ulong Upload<T>(T[] from) where T : unmanaged
    {
        var to = owned.Memory((long)from.Length * sizeof(T));
        device.Upload<T>(to, from, stream);
        return to;
    }

    public void Launch(Rung rung)
    {
        var kernel = device.GetKernel(rung.Kernel, rung.SharedBytes);
        var shape = rung.Shape(problem.Rows, problem.Columns, device.Info.Multiprocessors);
        if (!rung.Filters)
        {
            device.Launch(kernel, shape,
                new LadderParams
                {
                    X = x, W = w, Bias = bias, C = c, Rows = problem.Rows, Columns = problem.Columns,
                    Ld = problem.Depth
                },
                stream);
            return;
        }
        device.Fill32(count, 0, problem.Rows, stream);
        var encode = new EncodeParams
        {
            XCentered = x, WEnc = w, BEnc = bias, Limit = limit, Count = count, Candidates = candidates,
            Rows = problem.Rows, Ld = problem.Depth, End = problem.Columns, Stride = Capacity, Capacity = Capacity,
        };
        if (rung.Hopper is null) device.Launch(kernel, shape, encode, stream);
        else LaunchHopper(kernel, shape, rung.Hopper, encode);
    }

    // Without buckets the limits do not change.
    void LaunchHopper(KernelFunction kernel, Launch shape, HopperForm form, EncodeParams encode)
    {
        var operands = new HopperOperands(Map(x, problem.Rows), Map(w, problem.Columns), device.Info.Multiprocessors,
            problem.Rows, problem.Depth * 2 / HopperOperands.Line);
        device.Launch(kernel, shape,
            new EncodeSm90Params
            {
                XMap = operands.XMap, WMap = operands.WMap, Encode = encode, Active = 1, Cluster = form.Cluster,
                Skew = form.Staggered ? operands.Skew : 0
            },
            stream);
    }

    TensorMap Map(ulong matrix, int rows) =>
        device.MapMatrix(matrix, TensorNumber.BFloat16, rows, problem.Depth, HopperOperands.TileRows)
            ?? throw new SaeException("this driver cannot make tensor maps: the last rungs need CUDA 12.0 or newer",
                kind: SaeErrorKind.Device);

    /// <summary>Computes the same product by cuBLAS without the bias: the machine's ceiling at this shape.</summary>
    public void LaunchGemm() =>
        device.GemmNT(problem.Rows, problem.Columns, problem.Depth, x, problem.Depth, w, problem.Depth, c,
            problem.Columns, stream);

    /// <summary>The device that the rungs run on.</summary>
    public nint Stream => stream;

    /// <summary>Runs a rung over poisoned memory and checks its whole result.</summary>
    public LadderCheck Check(Rung rung)
    {
        device.Fill32(c, 0xffffffff, (long)problem.Rows * problem.Columns, stream);
        Launch(rung);
        device.Synchronize(stream);
        return rung.Filters ? CheckCandidates() : CheckAll();
    }

    LadderCheck CheckAll()
    {
        var sample = problem.Sample.ToHashSet();
        var rows = Math.Max(1, Chunk / problem.Columns);
        var host = new float[(long)Math.Min(rows, problem.Rows) * problem.Columns];
        ulong checksum = 0;
        double largest = 0;
        for (var begin = 0; begin < problem.Rows; begin += rows)
        {
            var height = Math.Min(rows, problem.Rows - begin);
            Download(c + (ulong)begin * (ulong)problem.Columns * sizeof(float), host, height * problem.Columns);
            for (var b = begin; b < begin + height; b++)
            {
                var row = host.AsSpan((b - begin) * problem.Columns, problem.Columns);
                for (var f = 0; f < row.Length; f++)
                    checksum += LadderCheck.Part((long)b * problem.Columns + f,
                        BitConverter.SingleToUInt32Bits(row[f]));
                if (sample.Contains(b))
                    largest = Math.Max(largest, LadderCheck.Compare(row, Reference(b).Value, Reference(b).Allowed));
            }
        }
        return new(largest, checksum, "");
    }

    LadderCheck CheckCandidates()
    {
        var counts = new int[problem.Rows];
        Download(count, counts, counts.Length);
        if (counts.Max() > Capacity)
            return new(double.PositiveInfinity, 0,
                $"a row has {counts.Max()} candidates, the capacity is {Capacity}");
        var host = new ulong[Capacity];
        ulong checksum = 0;
        double largest = 0;
        var fault = "";
        var sample = problem.Sample.ToHashSet();
        for (var b = 0; b < problem.Rows; b++)
        {
            Download(candidates + (ulong)b * Capacity * sizeof(ulong), host, counts[b]);
            foreach (var key in host.AsSpan(0, counts[b])) checksum += LadderCheck.Part(b, key);
            if (sample.Contains(b))
                largest = Math.Max(largest,
                    LadderCheck.CompareCandidates(b, host.AsSpan(0, counts[b]), Reference(b).Value,
                        Reference(b).Allowed, ref fault));
        }
        return new(largest, checksum, fault);
    }

    (double[] Value, double[] Allowed) Reference(int row)
    {
        if (!reference.TryGetValue(row, out var made)) reference[row] = made = problem.Reference(row);
        return made;
    }

    void Download<T>(ulong from, T[] to, int length) where T : unmanaged =>
        device.Download(to.AsSpan(0, length), from, stream);

    public void Dispose() => owned.Dispose();
}
