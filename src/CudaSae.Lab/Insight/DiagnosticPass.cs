namespace CudaSae.Lab.Insight;

/// <summary>The visitors of the first pass of <see cref="Diagnostics"/> over an SAE's codes. Other visitors, such as an
/// evaluation, may share the pass.</summary>
sealed class DiagnosticPass(Sae sae)
{
    public LatentStatistics Statistics { get; } = new(sae.Model);
    public InputCoordinates Input { get; } = new(sae.InputWidth);

    /// <summary>The visitors. A pass must visit every row once.</summary>
    public ICodeVisitor[] Visitors => [Statistics, Input];
}
