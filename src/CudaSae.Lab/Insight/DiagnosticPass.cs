namespace CudaSae.Lab.Insight;

/// <summary>What <see cref="Diagnostics"/> looks for in its first pass over an SAE's codes. The pass may be shared with
/// others, such as an evaluation.</summary>
sealed class DiagnosticPass(Sae sae)
{
    public LatentStatistics Statistics { get; } = new(sae.Model);
    public InputCoordinates Input { get; } = new(sae.InputWidth);

    /// <summary>To be shown every row, once.</summary>
    public ICodeVisitor[] Visitors => [Statistics, Input];
}
