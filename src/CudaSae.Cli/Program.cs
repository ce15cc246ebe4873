using CudaSae.Cli;

return Startup.Run(Commands.Root(), args, Commands.Program);
