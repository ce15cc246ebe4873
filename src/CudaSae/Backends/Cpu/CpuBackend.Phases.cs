using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>The phases that a spec needs.</summary>
sealed unsafe partial class CpuBackend
{
    sealed class Phases
    {
        public Phases(CpuContext context)
        {
            var spec = context.Spec;
            Prepare = new(context);
            if (!context.Plain) Scalars = new(context);
            Encode = new(context);
            if (spec.Selection is Selection.BatchTopK batch) Batch = new(context, batch, Encode.ShardSelection);
            var optimizer = new OptimizerStep(context);
            if (context.Skips) Skip = new(context, optimizer);
            Residuals = new(context, Skip);
            Decode = new(context, Residuals);
            if (!context.Plain) Entries = new(context);
            if (context.Thresholded) Dense = new(context, Residuals);
            Window = new(context);
            if (spec.DeadWindow > 0) Dead = new(context, Residuals, Window);
            Backward = new(context);
            Optimize = new(context, new(context, Scalars, Backward, Window, Dense), Residuals, Dense, Skip, optimizer);
            Latents = new(context, Window, Dense);
        }

        public PreparePhase Prepare { get; }
        public LatentScalarsPhase? Scalars { get; }
        public EncodePhase Encode { get; }
        public BatchPhase? Batch { get; }
        public SkipPhase? Skip { get; }
        public Residuals Residuals { get; }
        public DecodePhase Decode { get; }
        public EntriesPhase? Entries { get; }
        public DensePhase? Dense { get; }
        public DeadWindow Window { get; }
        public DeadPhase? Dead { get; }
        public BackwardPhase Backward { get; }
        public OptimizePhase Optimize { get; }
        public LatentsPhase Latents { get; }
    }
}
