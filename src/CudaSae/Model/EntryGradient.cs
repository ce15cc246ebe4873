namespace CudaSae.Model;

partial struct EntryGradient
{
    /// <summary>Adds another gradient, component by component.</summary>
    public void Add(in EntryGradient other)
    {
        Input += other.Input;
        Bias += other.Bias;
        Norm += other.Norm;
        Threshold += other.Threshold;
        Mag += other.Mag;
        Scale += other.Scale;
    }
}
