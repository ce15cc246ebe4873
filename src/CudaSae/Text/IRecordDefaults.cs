namespace CudaSae.Text;

/// <summary>A JSON context that knows the standard values of its records' fields.</summary>
interface IRecordDefaults
{
    /// <summary>A record with standard values; null where the type has none.</summary>
    object? DefaultOf(Type record);
}
