namespace CudaSae.Cli.Help;

/// <summary>The order and headings of a help page.</summary>
static class HelpGroups
{
    /// <summary>Heading of the options that only --help-all shows.</summary>
    public const string Advanced = "Advanced";

    /// <summary>Heading of the options without a group.</summary>
    public const string Others = "Options";

    /// <summary>Commands by heading.</summary>
    public static readonly (string Heading, string[] Names)[] Commands =
    [
        ("Train", ["train", "sweep", "compare", "finetune", "presets"]),
        ("Evaluate", ["eval", "report", "inspect", "probe", "images", "recover"]),
        ("Data", ["harvest", "synth", "labels", "othello", "toy"]),
        ("Convert", ["convert"]),
        ("Machine", ["devices", "verify", "bench"]),
    ];

    /// <summary>Options by heading, the same for every command that has them. A command of few options lists them
    /// under one heading.</summary>
    public static readonly (string Heading, string[] Names)[] Options =
    [
        ("Model", ["--preset", "--latents", "--k", "--coefficient", "--aux-k", "--dead-after", "--decoder-norm"]),
        ("Optimizer",
        [
            "--batch-rows", "--vectors", "--seed", "--learning-rate", "--warmup-fraction", "--decay-fraction",
            "--optimizer", "--beta1", "--weight-decay", "--clip",
        ]),
        ("Data", ["--held-out", "--tensor", "--beside", "--shuffle-window", "--non-finite"]),
        ("Output",
        [
            "--out", "--resume", "--resume-if-any", "--watch", "--tensorboard", "--log-every",
            "--checkpoint-every", "--density-every", "--verbose",
        ]),
        (Advanced,
        [
            "--set", "--aux-coefficient", "--aux-relu", "--beta2", "--epsilon", "--moments", "--lazy", "--clip-norm",
            "--storage", "--ema-decay", "--decoder-bias", "--encoder-init-norm", "--scale-inputs", "--screening",
            "--device-pool", "--validate-every", "--keep-checkpoints", "--on-divergence", "--spike-above", "--ranks",
            "--sum-order", "--shared-reading", "--row-chunks", "--collective-timeout",
        ]),
    ];
}
