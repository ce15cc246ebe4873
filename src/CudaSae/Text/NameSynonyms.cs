namespace CudaSae.Text;

/// <summary>The names that other programs use for the same thing, for <see cref="Names.Nearest"/>. They consist of
/// letters and digits in lower case.</summary>
static class NameSynonyms
{
    /// <summary>Each line holds a name of this project, then the names that other programs use.</summary>
    static readonly string[] Lines =
    [
        "learningrate lr stepsize eta rate", "warmupfraction warmup warmupsteps lrwarmup lrwarmupsteps",
            "decayfraction decay decaysteps lrdecay lrdecaysteps cooldown",
        "batchrows batchsize batch bs trainbatchsize minibatch",
            "vectors epochs steps tokens samples examples maxsteps numsteps nsteps iterations trainingtokens "
            + "totaltokens numtokens",
        "rows samples examples tokens numrows maxrows limit",
            "latents width n dsae dictsize dictionarysize features numlatents nlatents numfeatures nfeatures dhidden "
            + "hidden expansion expansionfactor",
        "inputwidth din dmodel dimension inputdim activationdim d", "k topk l0 active activek sparsityk",
            "coefficient lambda l1 l1coefficient l1coeff l1penalty sparsity sparsitycoefficient sparsitypenalty "
            + "l0coefficient",
        "auxk auxiliaryk kaux", "auxcoefficient auxkcoefficient auxkalpha auxalpha auxlossscale",
            "deadafter deadfeaturewindow deadfeaturethreshold deadwindow deadtokens deadthreshold",
        "backend device gpu accelerator platform",
            "out output outdir outputdir outputpath savedir savepath checkpointdir dir folder o",
            "resume resumefrom continue resumefromcheckpoint fromcheckpoint checkpoint ckpt restart",
        "heldout val validation valid test evaldata holdout valdata testdata",
            "preset method recipe architecture arch model variant type",
            "presets methods recipes architectures preset", "seed randomseed rngseed",
        "optimizer opt optim", "weightdecay wd l2", "beta1 adambeta1 betas", "beta2 adambeta2", "epsilon eps adameps",
            "clipnorm clip gradclip gradientclip maxgradnorm clipgradnorm", "emadecay ema",
        "logevery log logsteps loginterval loggingsteps logfreq logfrequency",
            "checkpointevery saveevery saveinterval savesteps checkpointinterval checkpoints checkpointfreq",
            "keepcheckpoints keep savetotallimit",
        "scaleinputs normalize normalise normalizeactivations", "shufflewindow shuffle buffer buffersize bufferrows",
            "moments dtype precision", "storage dtype precision", "nonfinite nan nans", "to format outputformat",
        "tensorboard tb", "watch ui port dashboard", "set override config field", "labels y targets",
            "beside target output2", "sae run checkpoint", "help h usage", "version v",
        // Commands.
        "train fit run learn", "eval evaluate evaluation test score",
            "report plot visualize visualise dashboard show html", "convert export import transform",
            "inspect info stats analyze analyse",
        "devices gpus gpu list device", "bench benchmark perf time", "synth generate toydata", "verify check selftest",
            "sweep grid search gridsearch", "finetune tune", "presets list", "probe classify",
        // Values.
        "cuda gpu nvidia", "cpu host", "float32 fp32 f32 float", "float16 fp16 f16 half", "bfloat16 bf16",
            "adam adamw", "rollback rewind", "skip drop ignore", "stop fail error raise", "none off no",
            "free unconstrained",
        "dictionarylearning dictlearning", "saelens sl", "openmoss llamascope lm", "sparsify eleuther eai",
    ];

    static readonly ILookup<string, string> Meant = Lines.Select(line => line.Split(' '))
        .SelectMany(words => words.Skip(1).Select(word => (word, words[0])))
        .ToLookup(pair => pair.word, pair => pair.Item2);

    /// <summary>Returns the names that a word may stand for, the most probable first.</summary>
    public static IEnumerable<string> Of(string word) => Meant[word];
}
