using System.Globalization;

namespace CudaSae.Distributed;

/// <summary>The address at which rank 0 waits for the others, for ranks that do not start through MPI. NCCL takes it as
/// the variable NCCL_COMM_ID, which a user may set.</summary>
static class RootAddress
{
    /// <summary>NCCL's variable.</summary>
    public const string NcclVariable = "NCCL_COMM_ID";

    /// <summary>Variable with the host of rank 0 in a Kubernetes job, and optionally its port.</summary>
    public const string Variable = "CUDASAE_ROOT";

    const int KubernetesPort = 29400, FirstOfSlurm = 61440, PortsOfSlurm = 4096;
    const int StepStride = 101;         // between the ports of two steps of a job

    /// <summary>Returns the address, host:port.</summary>
    /// <param name="place">The place of this process.</param>
    /// <param name="variables">The environment of this process.</param>
    /// <exception cref="SaeException">The launcher does not state the address.</exception>
    public static string Of(RankEnvironment place, IReadOnlyDictionary<string, string> variables)
    {
        string? Text(string name) => variables.GetValueOrDefault(name) is { Length: > 0 } text ? text : null;
        if (Text(NcclVariable) is { } own) return own;
        return place.Launcher switch
        {
            RankEnvironment.Torchrun => Text("MASTER_ADDR") is { } host && Text("MASTER_PORT") is { } port
                // torchrun listens at the port itself.
                ? Join(host, Port("MASTER_PORT", port, most: ushort.MaxValue - 1) + 1)
                : throw Missing(place, "MASTER_ADDR and MASTER_PORT"),
            RankEnvironment.Slurm => Join(
                FirstHost(Text("SLURM_STEP_NODELIST") ?? Text("SLURM_JOB_NODELIST")
                    ?? throw Missing(place, "SLURM_STEP_NODELIST")),
                FirstOfSlurm + (int)((Number(Text("SLURM_JOB_ID") ?? Text("SLURM_JOBID") ?? "0")
                    + StepStride * Number(Text("SLURM_STEP_ID") ?? "0")) % PortsOfSlurm)),
            _ => Text(Variable) is { } root ? WithPort(root) : throw Missing(place, Variable),
        };
    }

    /// <summary>Returns the first host of a list of SLURM, such as n[1-3,7],m2 or gpu[08-11]-ib.</summary>
    internal static string FirstHost(string list)
    {
        var depth = 0;
        var end = 0;
        while (end < list.Length && (list[end] != ',' || depth > 0))
            depth += list[end++] switch { '[' => 1, ']' => -1, _ => 0 };
        var host = list[..end];
        while (host.IndexOf('[') is >= 0 and var open && host.IndexOf(']') is var close && close > open)
        {
            var first = host[(open + 1)..close].Split(',', '-')[0];
            host = host[..open] + first + host[(close + 1)..];
        }
        return host;
    }

    static string WithPort(string root)
    {
        var bare = root.StartsWith('[') ? root[(root.IndexOf(']') + 1)..] : root;
        if (bare.Count(c => c == ':') != 1) return Join(root, KubernetesPort);
        var at = root.LastIndexOf(':');
        return Join(root[..at], Port(Variable, root[(at + 1)..]));
    }

    /// <summary>Joins host and port; an address of IPv6 needs brackets.</summary>
    static string Join(string host, int port) =>
        string.Create(CultureInfo.InvariantCulture,
            $"{(host.Contains(':') && !host.StartsWith('[') ? $"[{host}]" : host)}:{port}");

    static int Port(string name, string text, int most = ushort.MaxValue) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0 && port <= most
            ? port : throw new SaeException($"{name} = {text} does not state a port, 1 to {most}");

    static long Number(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    static SaeException Missing(RankEnvironment place, string name) => new(
        $"{place.Launcher} started {place.Size} ranks, but the environment does not state where rank 0 waits ({name}): "
            + $"set {NcclVariable}=HOST:PORT, the same for all ranks, with the host of rank 0 and a free port");
}
