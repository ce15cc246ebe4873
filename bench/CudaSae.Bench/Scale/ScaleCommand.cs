using System.CommandLine;
using CudaSae.Cli;

namespace CudaSae.Bench.Scale;

/// <summary>Runs cudasae-bench scale: predicts sharded training steps. It measures nothing.</summary>
sealed class ScaleCommand
{
    static readonly ScaleMachine Standard = new();

    readonly Option<int> rows = Options.New("--batch-rows", "B, rows in a batch", 8192, 1, int.MaxValue);
    readonly Option<int> width = Options.New("--input-width", "d, width of input and output", 4096, 1, int.MaxValue);
    readonly Option<string> latents = Options.New("--latents", "n, numbers of latents, separated by commas",
        "1048576,2097152,4194304,8388608,16777216");
    readonly Option<int> active = Options.New("--k", "active latents a row", 64, 1, int.MaxValue);
    readonly Option<string> gpus = Options.New("--gpus", "P, numbers of GPUs, separated by commas",
        "8,16,32,64,128,256,512");
    readonly Option<int> node = Options.New("--gpus-per-node", "G, GPUs linked by NVLink", Standard.NodeGpus, 1, 1024);
    readonly Option<double> encode = Rate("--encode-tflops", "10¹² operations a second of the encoder",
        Standard.EncodeTflops);
    readonly Option<double> hbm = Rate("--hbm", "GB/s of a GPU's memory", Standard.HbmGBps);
    readonly Option<double> nvlink = Rate("--nvlink", "GB/s of NVLink for each GPU, in each direction",
        Standard.NvlinkGBps);
    readonly Option<double> network = Rate("--network", "GB/s of the network for each GPU, in each direction",
        Standard.NetworkGBps);
    readonly Option<double> nodeLatency = Options.New("--node-latency", "µs of a collective inside a node",
        Standard.NodeLatencyUs, 0, 1e9);
    readonly Option<double> networkLatency = Options.New("--network-latency",
        "µs that a collective across nodes takes in addition", Standard.NetworkLatencyUs, 0, 1e9);
    readonly Option<int> collectives = Options.New("--collectives", "collectives of a step", Standard.Collectives, 0,
        1 << 20);
    readonly Option<int> moments = Options.New("--moment-bytes", "bytes of each of Adam's two moments: 4, 2 or 1",
        Standard.MomentBytes, 1, 4);
    readonly Option<int> residual = Options.New("--residual-bytes",
        "bytes of an element of the residual that ranks exchange: 2 or 4", Standard.ResidualBytes, 2, 4);
    readonly Option<int> chunks = Options.New("--chunks", "chunks of rows of the overlapped step", Standard.Chunks, 1,
        1 << 20);
    readonly Option<bool> flat = Options.Flag("--flat",
        "every GPU sends to every other one directly, without sums inside a node first");
    readonly Option<string> csv = Options.New("--csv", "also write the rows into this file", "");
    readonly Option<bool> json = Options.Flag("--json", "print one line of JSON instead of the page");

    public static Command Create()
    {
        var self = new ScaleCommand();
        var command = new Command("scale",
            "Predict memory, bytes and time of sharded training on many GPUs; nothing is measured.")
        {
            self.rows, self.width, self.latents, self.active, self.gpus, self.node, self.encode, self.hbm, self.nvlink,
            self.network, self.nodeLatency, self.networkLatency, self.collectives, self.moments, self.residual,
            self.chunks, self.flat, self.csv, self.json,
        };
        command.SetAction(parsed =>
        {
            var models = self.Models(parsed);
            if (parsed.GetValue(self.csv) is { Length: > 0 } path) ScaleColumns.WriteCsv(path, models);
            Console.Write(parsed.GetValue(self.json) ? ScaleColumns.Json(models) + "\n" : ScalePage.Of(models));
            return 0;
        });
        return command;
    }

    /// <summary>Returns the steps of the options: every number of GPUs for every number of latents.</summary>
    /// <exception cref="SaeException">A list or a value has another form, or GPUs do not fill the nodes.</exception>
    List<ScaleModel> Models(ParseResult parsed)
    {
        var machine = new ScaleMachine
        {
            NodeGpus = parsed.GetValue(node),
            EncodeTflops = parsed.GetValue(encode),
            HbmGBps = parsed.GetValue(hbm),
            NvlinkGBps = parsed.GetValue(nvlink),
            NetworkGBps = parsed.GetValue(network),
            NodeLatencyUs = parsed.GetValue(nodeLatency),
            NetworkLatencyUs = parsed.GetValue(networkLatency),
            Collectives = parsed.GetValue(collectives),
            MomentBytes = parsed.GetValue(moments),
            ResidualBytes = parsed.GetValue(residual),
            Chunks = parsed.GetValue(chunks),
            Flat = parsed.GetValue(flat),
        };
        if (machine.MomentBytes == 3) throw new SaeException("--moment-bytes 3: it must be 4, 2 or 1");
        if (machine.ResidualBytes == 3) throw new SaeException("--residual-bytes 3: it must be 2 or 4");
        var (widths, sizes) = (Numbers(parsed, latents), Numbers(parsed, gpus));
        if (sizes.FirstOrDefault(p => !machine.Admits(p)) is > 0 and var odd)
            throw new SaeException($"--gpus {odd}: it must be at most {machine.NodeGpus}, or a multiple of it "
                + "(--gpus-per-node)");
        if (sizes.Max() > widths.Min())
            throw new SaeException($"--gpus {sizes.Max()} exceeds --latents {widths.Min()}; each GPU needs a latent");
        return
        [
            .. widths.SelectMany(n => sizes.Select(p => new ScaleModel(
                new(parsed.GetValue(rows), parsed.GetValue(width), n, parsed.GetValue(active)), p, machine))),
        ];
    }

    static int[] Numbers(ParseResult parsed, Option<string> option) =>
        [.. parsed.GetValue(option)!.Split(',').Select(part => Forms.Within(part, 1, int.MaxValue)
            ?? throw new SaeException($"{option.Name} {part}: it must be {Forms.Of(typeof(int), 1, int.MaxValue)}, or "
                + "several separated by commas"))];

    static Option<double> Rate(string name, string description, double standard) =>
        Options.New(name, description, standard, 1e-6, 1e9);
}
