using CudaSae.Cli;

namespace CudaSae.Bench.Scale;

/// <summary>Predicts a training step with sharded latents: TopK, untied weights, dense Adam, float32 weights in
/// two halves, a rank on each GPU. Letters: B rows, d width, n latents, k active latents a row, P ranks, G GPUs a node.
/// Operations and bytes of a rank are those of <see cref="StepCost"/> divided by P unless a line states another source.
/// The phases backward and latents are omitted: on one GPU they take less than a ten-thousandth of a step.</summary>
/// <param name="Ranks">P; a multiple of G if it exceeds G.</param>
sealed record ScaleModel(BenchShape Shape, int Ranks, ScaleMachine Machine)
{
    double B => Shape.Rows;
    double D => Shape.Width;
    double K => Shape.Active;
    double P => Ranks;

    /// <summary>Latents of a rank, n / P.</summary>
    public double Latents => Shape.Latents / P;

    int NodeRanks => Math.Min(Ranks, Machine.NodeGpus);
    int Nodes => Ranks / NodeRanks;

    // Work of a rank.

    /// <summary>Operations of the encoder: a dense product of all rows with the rank's latents.</summary>
    public double EncodeFlops => 2 * B * D * Latents;

    /// <summary>Bytes of the encoder: rows and weights in bfloat16, the selected entries. Each chunk of rows reads the
    /// weights again.</summary>
    public double EncodeBytes(int chunks = 1) => 2 * (B * D + chunks * Latents * D) + 8 * B * K / P;

    /// <summary>Bytes of Adam: each weight of both matrices and its two moments are read and written once.</summary>
    public double UpdateBytes => 2 * StateBytes;

    /// <summary>Bytes of the weights, 4 each, and their two moments: the memory that sharding divides. Buffers of the
    /// batch are needed in addition.</summary>
    public double StateBytes => Latents * 2 * D * (4 + 2 * Machine.MomentBytes);

    /// <summary>Bytes of the gathers of bfloat16 rows: decoder, residual and input. A sharded step gathers decoder rows
    /// twice, for the reconstruction and, after the exchange, for the gradient of the code.</summary>
    public double GatherBytes => B * K / P * 2 * D * (Ranks > 1 ? 4 : 3);

    /// <summary>Bytes of the work on whole rows, which every rank does: 10 d a row to prepare the input, and 20 d for
    /// residual and column sums (an estimate; <see cref="StepCost"/> does not count these).</summary>
    public double RowBytes => 30 * B * D;

    // Bytes that a rank receives in a step, if all of them came from other ranks.

    /// <summary>Bytes of the selection: the k values of each row go to the row's owner; bound, count of ties and sum
    /// come back.</summary>
    public double SelectionBytes => B * (4 * K + 12);

    /// <summary>Bytes of the partial reconstructions: a float32 row from each rank to the row's owner.</summary>
    public double PartialBytes => 4 * B * D;

    /// <summary>Bytes of the residual: the owners' rows go to all ranks.</summary>
    public double ResidualBytes => Machine.ResidualBytes * B * D;

    /// <summary>Bytes of the gradient of the decoder's bias: a float32 row of each rank goes to all ranks, which add in
    /// rank order.</summary>
    public double BiasBytes => Ranks > 1 ? 4 * P * D : 0;

    /// <summary>Bytes of the exchanges that depend on the batch, which chunks of rows can overlap.</summary>
    public double ExchangeBytes => SelectionBytes + PartialBytes + ResidualBytes;

    /// <summary>Share of the bytes that arrives by NVLink. Flat: the share of the other ranks of the node. In two
    /// levels all bytes pass inside a node, except the rank's own share of it.</summary>
    public double NvlinkShare => Machine.Flat ? (NodeRanks - 1) / P : (NodeRanks - 1.0) / NodeRanks;

    /// <summary>Share of the bytes that arrives by the network. Flat: the share of the other nodes' ranks. In two
    /// levels the ranks of a node divide the bytes of the other nodes.</summary>
    public double NetworkShare => Machine.Flat ? (Ranks - NodeRanks) / P : (Nodes - 1.0) / Nodes / NodeRanks;

    /// <summary>Bytes that a rank receives by NVLink in a step.</summary>
    public double NvlinkBytes => (ExchangeBytes + BiasBytes) * NvlinkShare;

    /// <summary>Bytes that a rank receives by the network in a step.</summary>
    public double NetworkBytes => (ExchangeBytes + BiasBytes) * NetworkShare;

    // Milliseconds.

    /// <summary>Milliseconds of the encoder: the larger bound of operations and bytes, as
    /// <see cref="PhaseCost.FloorMs"/>.</summary>
    public double EncodeMs(int chunks = 1) =>
        Math.Max(EncodeFlops / Machine.EncodeTflops / 1e9, HbmMs(EncodeBytes(chunks)));

    public double UpdateMs => HbmMs(UpdateBytes);
    public double GatherMs => HbmMs(GatherBytes);
    public double RowMs => HbmMs(RowBytes);

    /// <summary>Milliseconds of the exchanges that depend on the batch.</summary>
    public double ExchangeMs => LinkMs(ExchangeBytes);

    /// <summary>Milliseconds of the gather of the bias gradient.</summary>
    public double BiasMs => LinkMs(BiasBytes);

    /// <summary>Milliseconds before the first bytes of all collectives: a node's latency, and the network's in addition
    /// if there are several nodes.</summary>
    public double LatencyMs => Ranks == 1 ? 0
        : Machine.Collectives * (Machine.NodeLatencyUs + (Nodes > 1 ? Machine.NetworkLatencyUs : 0)) / 1e3;

    /// <summary>Milliseconds of a step without overlap.</summary>
    public double SerialMs => EncodeMs() + Rest + ExchangeMs;

    /// <summary>Milliseconds of a step that encodes a chunk of rows during the exchange of the previous one. The
    /// exchange of the last chunk is never hidden. If the exchange exceeds the encoder's other chunks by more, the
    /// excess counts instead.</summary>
    public double OverlappedMs
    {
        get
        {
            if (Ranks == 1) return SerialMs;
            var (chunks, encode) = (Machine.Chunks, EncodeMs(Machine.Chunks));
            return encode + Rest + Math.Max(ExchangeMs / chunks, ExchangeMs - encode * (chunks - 1) / chunks);
        }
    }

    double Rest => UpdateMs + GatherMs + RowMs + BiasMs + LatencyMs;

    /// <summary>Parallel efficiency: the step of one process, which has one gather of decoder rows and no exchange,
    /// divided by P times the given step.</summary>
    public double Efficiency(double stepMs) => (this with { Ranks = 1 }).SerialMs / P / stepMs;

    /// <summary>The n / P at which the encoder's product takes as long as the exchange. At 8 bytes an element (residual
    /// in float32) over one link of W bytes a second and F operations a second, it is 4 F / W for any B and d.
    /// </summary>
    public double ParityLatents => ExchangeMs * Machine.EncodeTflops * 1e9 / (2 * B * D);

    double HbmMs(double bytes) => bytes / Machine.HbmGBps / 1e6;

    /// <summary>Returns the milliseconds of an exchange. In two levels the links work one after the other; a flat
    /// exchange uses both at the same time.</summary>
    double LinkMs(double bytes)
    {
        var nvlink = bytes * NvlinkShare / Machine.NvlinkGBps / 1e6;
        var network = bytes * NetworkShare / Machine.NetworkGBps / 1e6;
        return Machine.Flat ? Math.Max(nvlink, network) : nvlink + network;
    }
}
