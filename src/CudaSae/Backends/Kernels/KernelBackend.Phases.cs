using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The phases that a spec needs. They are made in the order in which they take memory from the
/// arena.</summary>
sealed unsafe partial class KernelBackend
{
    sealed class Phases
    {
        public Phases(KernelContext context, KernelVariant variant)
        {
            Context = context;
            context.Portable = variant.Portable;
            Prepare = new(context);
            var spec = context.Spec;
            if (context.Buffers.Latents.Length > 0) Scalars = new(context);
            if (spec.IsThresholded) Columns = new(context);
            else
            {
                Encode = new(context,
                    Math.Min(EncodePhase.MaxCapacity,
                        Math.Max(variant.EncodeCapacity, (2 * context.Active + 63) & ~63)))
                { Reference = variant.ReferenceEncode };
                Select = new(context, Encode);
            }
            if (spec.Transcoder is { Skip: true }) Skip = new(context);
            Decode = new(context);
            if (context.Chunks.Length > 1 && Select is not null) Overlap = new(context, Encode!, Select, Decode);
            if (context.Config.HotDensity > 0) Hot = new(context, Decode);
            if (Scalars is not null) Entries = new(context);
            if (spec.IsThresholded) Dense = new(context, Decode, Entries!);
            Backward = new(context);
            Optimize = new(context, Backward, Decode, Skip, variant.GeneralUpdate);
            if (context.Config.Screening == ScreeningKind.Int8)
                Select!.Screen = Screen = new(context, Encode!, Optimize.LastTouched);
            Latents = new(context);
            if (spec.DeadWindow > 0) Dead = new(context, Encode, Decode, Latents);
        }

        public KernelContext Context { get; }
        public PreparePhase Prepare { get; }
        public LatentScalarsPhase? Scalars { get; }
        public ColumnsPhase? Columns { get; }
        public EncodePhase? Encode { get; }
        public SelectPhase? Select { get; }
        public ScreenPhase? Screen { get; }
        public SkipPhase? Skip { get; }
        public DecodePhase Decode { get; }
        public OverlapPhase? Overlap { get; }
        public HotPhase? Hot { get; }
        public EntriesPhase? Entries { get; }
        public DensePhase? Dense { get; }
        public DeadPhase? Dead { get; }
        public BackwardPhase Backward { get; }
        public OptimizePhase Optimize { get; }
        public LatentsPhase Latents { get; }
    }
}
