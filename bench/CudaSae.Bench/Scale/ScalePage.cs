using System.Globalization;
using System.Text;
using CudaSae.Bench.Tables;

namespace CudaSae.Bench.Scale;

/// <summary>Formats predicted steps as the page bench/results/scale.md.</summary>
static class ScalePage
{
    /// <summary>10¹² operations a second of an H200's bfloat16 product, the rate that the docs assume for one GPU.
    /// docs/internals/decisions/0006-screening.md uses it.</summary>
    const double OneGpuTflops = 790;

    const string Head = "| n | GPUs | n/P | weights and moments a GPU, GB | encode, ms | Adam, ms | gathers, ms "
        + "| work on rows, ms | NVLink, MB | network, MB | exchange, ms | latency, ms | step, ms: serial → overlapped "
        + "| efficiency, %: serial → overlapped | overlapped, times the speed of half the GPUs |";

    /// <param name="models">Steps of the same rows, width, k and machine; at least one.</param>
    public static string Of(IReadOnlyList<ScaleModel> models)
    {
        var (shape, most) = (models[0].Shape, models.MaxBy(model => model.Ranks)!);
        return $"""
            # Scale of sharded training, predicted

            No number on this page was measured on a GPU. The cost model `bench/CudaSae.Bench/Scale/ScaleModel.cs`
            predicts all of them, and `cudasae-bench scale > bench/results/scale.md` writes this page.

            {Stop(most)}
            Assumed:

            {string.Concat(Assumptions(models[0].Machine).Select(line => $"- {line}\n"))}
            n and n/P are in units of 1,024 (k) and 1,048,576 (M) latents. Memory and links are in 10⁹ and 10⁶ bytes.
            The memory excludes the buffers of the batch, and a row is printed even if its memory exceeds that of any
            GPU. Bytes of links are those that a GPU receives in a step. Efficiency is the step of one process, divided
            by the number of GPUs times the step.

            Predicted, B {shape.Rows}, d {shape.Width}, k {shape.Active}:

            {Head}
            |{string.Concat(Enumerable.Repeat("---|", Head.Count(c => c == '|') - 1))}
            {string.Join('\n', models.Select(Line))}

            """;
    }

    static string Stop(ScaleModel most)
    {
        if (most.Ranks == 1) return "One GPU exchanges nothing.\n";
        var faster = most with { Machine = most.Machine with { EncodeTflops = OneGpuTflops } };
        return $"""
            **Training stops scaling at n/P near {Parity(most)}: there the encoder takes as long as the exchange of
            reconstructions and residuals. The bytes of this exchange do not shrink with the number of GPUs.**

            This is predicted for {most.Ranks} GPUs. At {Plain(OneGpuTflops)} TFLOP/s of the encoder, the rate of
            [decision 6](../../docs/internals/decisions/0006-screening.md), the point is near {Parity(faster)}.

            """;
    }

    static string[] Assumptions(ScaleMachine m) =>
    [
        $"Encode runs at {Plain(m.EncodeTflops)} TFLOP/s, and memory at {Plain(m.HbmGBps)} GB/s.",
        $"For each GPU, NVLink moves {Plain(m.NvlinkGBps)} GB/s in each direction, and the network "
            + $"{Plain(m.NetworkGBps)} GB/s.",
        $"A node has {m.NodeGpus} GPUs. "
            + (m.Flat ? "Every GPU sends to every other one directly."
                : "Sums are formed inside a node first, then between nodes."),
        $"A step has {m.Collectives} collectives. Each waits {Plain(m.NodeLatencyUs)} µs inside a node and "
            + $"{Plain(m.NodeLatencyUs + m.NetworkLatencyUs)} µs across nodes.",
        $"Adam is dense. Weights have 4 bytes, and each of their two moments has {m.MomentBytes}.",
        $"The residual is sent with {m.ResidualBytes} bytes an element.",
        $"The overlapped step has {m.Chunks} chunks of rows. It encodes one chunk during the exchange of the previous "
            + "one.",
        "Operations and bytes of the phases are those of the\n"
            + "  [cost model of one GPU](../../docs/internals/benchmarks.md#formulas), with a second gather of\n"
            + "  decoder rows and 20 d bytes a row for residual and column sums in addition.",
    ];

    static string Line(ScaleModel m)
    {
        var half = m.Ranks % 2 == 0 && m.Machine.Admits(m.Ranks / 2) ? m with { Ranks = m.Ranks / 2 } : null;
        var line = new StringBuilder("| ")
            .AppendJoin(" | ", Latents(m.Shape.Latents), m.Ranks, Latents(m.Latents), Number(m.StateBytes / 1e9),
                Number(m.EncodeMs()), Number(m.UpdateMs), Number(m.GatherMs), Number(m.RowMs),
                Number(m.NvlinkBytes / 1e6), Number(m.NetworkBytes / 1e6), Number(m.ExchangeMs + m.BiasMs),
                Number(m.LatencyMs), $"{Number(m.SerialMs)} → {Number(m.OverlappedMs)}",
                $"{Percent(m.Efficiency(m.SerialMs))} → {Percent(m.Efficiency(m.OverlappedMs))}",
                half is null ? "" : Plain(half.OverlappedMs / m.OverlappedMs, "0.00"));
        return line.Append(" |").ToString();
    }

    static string Parity(ScaleModel m) => Latents(Math.Round(m.ParityLatents / 1024) * 1024);
    static string Plain(double x, string format = "0.###") => x.ToString(format, CultureInfo.InvariantCulture);
    static string Percent(double share) => (100 * share).ToString("0", CultureInfo.InvariantCulture);
    static string Number(double x) => x == 0 ? "0" : BenchTables.Number(x);

    /// <summary>Formats a number of latents in units of 1,048,576 and 1,024 if it is a multiple of them.</summary>
    static string Latents(double n) =>
        n % (1 << 20) == 0 ? FormattableString.Invariant($"{n / (1 << 20)}M")
        : n % 1024 == 0 ? FormattableString.Invariant($"{n / 1024}k")
        : n.ToString("#,0", CultureInfo.InvariantCulture);
}
