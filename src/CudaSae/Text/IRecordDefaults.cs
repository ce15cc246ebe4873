namespace CudaSae.Text;

/// <summary>A JSON context that supplies the standard values of its records' fields.</summary>
interface IRecordDefaults
{
    /// <summary>Returns a record with standard values, or null if the type has none.</summary>
    object? DefaultOf(Type record);
}
