namespace CudaSae.Backends.Cpu;

/// <summary>Sums over some rows of a batch.</summary>
struct RowSums
{
    public double Error, LevelError, GateError, Norm, Reconstruction, Penalty, NextPenalty;
    public long Active;
    public int MaxRow;          // most entries of a row

    public void Add(in RowSums other)
    {
        Error += other.Error;
        LevelError += other.LevelError;
        GateError += other.GateError;
        Norm += other.Norm;
        Reconstruction += other.Reconstruction;
        Penalty += other.Penalty;
        NextPenalty += other.NextPenalty;
        Active += other.Active;
        MaxRow = Math.Max(MaxRow, other.MaxRow);
    }
}
