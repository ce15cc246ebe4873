namespace CudaSae.Model;

partial struct EntryGradient
{
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
