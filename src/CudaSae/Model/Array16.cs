using System.Runtime.CompilerServices;

namespace CudaSae.Model;

/// <summary>Sixteen values in place, like an array in a struct of the kernels. .NET 10 has such a type, but the C
/// library is compiled for .NET 9.</summary>
[InlineArray(16)]
struct Array16<T> where T : unmanaged
{
    T first;
}
