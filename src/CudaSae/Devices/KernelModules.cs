using System.Reflection;

namespace CudaSae.Devices;

/// <summary>What a launcher does with a module's image.</summary>
interface IModuleLoader
{
    /// <param name="image">Machine code, or PTX, which ends with a zero.</param>
    /// <param name="file">Of kernels/, without .cu, for messages.</param>
    nint LoadModule(byte[] image, string file);
    nint FindFunction(nint module, string kernel);

    /// <summary>More dynamic shared memory than a function has without asking.</summary>
    void AllowShared(nint function, int bytes, string kernel);
    void UnloadModule(nint module);
}

/// <summary>The kernels that the build embedded: one module a .cu file and architecture, loaded when a kernel of it is first asked for.
/// Resource names: kernels/ARCH/FILE, ARCH one of sm_80, sm_90a, compute_80 (PTX); kernels/index says which file holds a kernel. Another
/// assembly's kernels are found after <see cref="Include"/>.</summary>
sealed class KernelModules(IModuleLoader loader, DeviceInfo info) : IDisposable
{
    const int SharedWithoutAsking = 48 << 10;

    readonly Dictionary<string, nint> modules = [];
    readonly Dictionary<nint, int> allowed = [];        // bytes by function: all who ask for a kernel get the same one
    static readonly Dictionary<string, (Assembly Holder, string File)> files = ReadIndex(Assembly.GetExecutingAssembly());

    /// <summary>Whether this build holds kernels for a GPU.</summary>
    public static bool Embedded => files.Count > 0;

    public const string HowToEmbed = "this build holds no CUDA kernels: install the compiler with build/install-nvcc.sh and build again";

    /// <summary>Adds the kernels that another assembly embeds, under the same resource names. Before a device is opened.</summary>
    public static void Include(Assembly holder)
    {
        foreach (var (kernel, place) in ReadIndex(holder)) files[kernel] = place;
    }

    static Dictionary<string, (Assembly Holder, string File)> ReadIndex(Assembly holder)
    {
        using var stream = holder.GetManifestResourceStream("kernels/index");
        if (stream is null) return [];
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Trim().Split(' ')).ToDictionary(pair => pair[0], pair => (holder, pair[1]));
    }

    /// <summary>A kernel, prepared for that much dynamic shared memory, and for what was asked for before.</summary>
    public KernelFunction Get(string kernel, int sharedBytes)
    {
        if (sharedBytes > info.SharedBytesPerBlock) throw new SaeException($"kernel {kernel} needs {sharedBytes} bytes of shared memory, {info.Name} gives a block {info.SharedBytesPerBlock}");
        var (holder, file) = (Assembly.GetExecutingAssembly(), kernel);
        if (!info.Emulated) (holder, file) = files.TryGetValue(kernel, out var place) ? place : throw new SaeException(Embedded ? $"no kernel {kernel} in this build" : HowToEmbed, kind: SaeErrorKind.Device);
        if (!modules.TryGetValue(file, out var module)) modules[file] = module = loader.LoadModule(info.Emulated ? [0] : Image(holder, file), file);
        var function = loader.FindFunction(module, kernel);
        if (sharedBytes > allowed.GetValueOrDefault(function, SharedWithoutAsking))
        {
            loader.AllowShared(function, sharedBytes, kernel);
            allowed[function] = sharedBytes;
        }
        return new(kernel, function, sharedBytes);
    }

    /// <summary>The machine code for this architecture, or PTX that the driver translates. Compute capability 9.0 takes
    /// no PTX: that of compute_80 has no wait for the kernel before it, which a programmatic launch relies
    /// on.</summary>
    byte[] Image(Assembly holder, string file)
    {
        string[] choices = (info.Major, info.Minor) switch
        {
            (9, 0) => ["sm_90a"],
            (8, _) => ["sm_80", "compute_80"],
            ( > 8, _) => ["compute_80"],
            _ => throw new SaeException($"{info.Name} has compute capability {info.Major}.{info.Minor}; "
                + "8.0 or newer is needed: use --backend cpu", kind: SaeErrorKind.Device),
        };
        foreach (var choice in choices)
        {
            using var stream = holder.GetManifestResourceStream($"kernels/{choice}/{file}");
            if (stream is null) continue;
            var image = new byte[stream.Length + 1];        // PTX is text and ends with a zero
            stream.ReadExactly(image, 0, (int)stream.Length);
            return image;
        }
        var missing = $"this build holds no {string.Join(" or ", choices)} image of kernels/{file}.cu: "
            + "build again with nvcc present";
        throw new SaeException(Embedded ? missing : HowToEmbed, kind: SaeErrorKind.Device);
    }

    public void Dispose()
    {
        foreach (var module in modules.Values) loader.UnloadModule(module);
        modules.Clear();
        allowed.Clear();
    }
}
