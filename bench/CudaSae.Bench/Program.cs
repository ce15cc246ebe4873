using CudaSae.Bench;
using CudaSae.Cli;

return Startup.Run(BenchCommands.Root(), args, BenchCommands.Program);
