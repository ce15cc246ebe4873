using System.CommandLine;
using CudaSae;
using CudaSae.Cli;
using CudaSae.Data;

#if MANAGED_CUDA
CudaSae.ManagedCuda.ManagedCudaDevice.Register();
#endif
FileSizeLimit.IsAnError();
StandardOutput.Open();
var root = new RootCommand("Trains sparse autoencoders on neural activations: CUDA kernels, or the CPU.")
{
    TrainCommand.Create(),
    EvalCommand.Create(),
    VerifyCommand.Create(),
    DevicesCommand.Create(),
    BenchCommand.Create(),
    HarvestCommand.Create(),
    SynthCommand.Create(),
    RecoverCommand.Create(),
    InspectCommand.Create(),
    PresetsCommand.Create(),
    FinetuneCommand.Create(),
    CompareCommand.Create(),
    SweepCommand.Create(),
    ConvertCommand.Create(),
    ReportCommand.Create(),
    ProbeCommand.Create(),
    LabelsCommand.Create(),
    OthelloCommand.Create(),
    ToyCommand.Create(),
    ImagesCommand.Create(),
};
var parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    Console.Error.WriteLine($"cudasae: {parsed.Errors[0].Message.TrimEnd('.')}; see cudasae {parsed.CommandResult.Command.Name} --help".Replace("cudasae cudasae", "cudasae"));
    return 2;
}
try
{
    return parsed.Invoke(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (OutputClosedException)
{
    return StandardOutput.ExitCode;
}
catch (SaeException e)
{
    Console.Error.WriteLine($"cudasae: {e.Message}");
    return 2;
}
catch (Exception e) when (AtomicFile.IsRefusal(e))
{
    Console.Error.WriteLine($"cudasae: {AtomicFile.Reason(e)}; free some space or choose another folder");
    return 2;
}
catch (OutOfMemoryException)
{
    Console.Error.WriteLine("cudasae: the machine ran out of memory; use fewer latents or smaller batches");
    return 2;
}
