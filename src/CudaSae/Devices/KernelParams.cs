using System.Runtime.InteropServices;

// The C# mirror of kernels/params.h: same order, same types, checked field by field by LayoutTests.
#pragma warning disable CS0649
namespace CudaSae.Devices;

// ---- prepare.cu

// ---- encode.cu, encode_f32.cu, select.cu

// ---- decode.cu

// ---- index.cu

// ---- update.cu, bias.cu

// ---- latents.cu

// ---- aux.cu

// ---- dense.cu
