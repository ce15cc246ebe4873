using System.Runtime.CompilerServices;

namespace CudaSae.Model;

/// <summary>Sixteen values in place, as an array of a struct of the kernels. .NET has such a type from version 10 on; the
/// C library is compiled for version 9.</summary>
[InlineArray(16)]
struct Array16<T> where T : unmanaged
{
    T first;
}
