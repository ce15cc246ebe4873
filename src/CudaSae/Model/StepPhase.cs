namespace CudaSae.Model;

/// <summary>The phases of a step, in the order of <c>SaeStep</c>.</summary>
enum StepPhase { Prepare, Encode, Decode, Aux, Backward, Optimize, Latents }
