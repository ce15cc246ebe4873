using System.Runtime.InteropServices;

// kernels/params/loss.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct LossParams
{
    public int Selection, Kernel, Form, InputGradient, Penalty, Weight, Rescale, LiveGate, PreAct;
    public int Adaptive;
    public float TanhScale, Target, Bandwidth, Reach;
}
