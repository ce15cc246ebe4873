namespace CudaSae.Bench.Scale;

/// <summary>The assumed rates of a cluster and the assumed choices of a sharded step. None of them was measured.
/// Rates are those that a kernel or a link is expected to reach.</summary>
sealed record ScaleMachine
{
    /// <summary>GPUs of a node, G. The GPUs of a node are linked by NVLink.</summary>
    public int NodeGpus { get; init; } = 8;

    /// <summary>10¹² operations a second of the encoder's bfloat16 product, with its selection.</summary>
    public double EncodeTflops { get; init; } = 600;

    /// <summary>10⁹ bytes a second of a GPU's memory: 85 % of an H100's 3.35 TB/s.</summary>
    public double HbmGBps { get; init; } = 0.85 * 3350;

    /// <summary>10⁹ bytes a second that a GPU receives by NVLink while it sends as many.</summary>
    public double NvlinkGBps { get; init; } = 450;

    /// <summary>10⁹ bytes a second that a GPU receives by its network card while it sends as many.</summary>
    public double NetworkGBps { get; init; } = 50;

    /// <summary>Microseconds before the first byte of a collective inside a node.</summary>
    public double NodeLatencyUs { get; init; } = 20;

    /// <summary>Microseconds that a collective across nodes takes in addition.</summary>
    public double NetworkLatencyUs { get; init; } = 45;

    /// <summary>Collectives of a step.</summary>
    public int Collectives { get; init; } = 8;

    /// <summary>Bytes of a moment: 4, 2 or 1.</summary>
    public int MomentBytes { get; init; } = 4;

    /// <summary>Bytes of an element of the residual that owners return to all ranks: 2 (bfloat16) or 4.</summary>
    public int ResidualBytes { get; init; } = 2;

    /// <summary>Chunks of rows of the overlapped step.</summary>
    public int Chunks { get; init; } = 8;

    /// <summary>True if every GPU sends to every other one directly; false if sums are formed inside a node first.
    /// </summary>
    public bool Flat { get; init; }

    /// <summary>Whether a number of GPUs fills one node in part or several nodes completely.</summary>
    public bool Admits(int gpus) => gpus <= NodeGpus || gpus % NodeGpus == 0;
}
