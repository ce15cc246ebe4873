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

/// <summary>The kernels that the build embedded: one module a .cu file and architecture, loaded when a kernel of it is
/// first asked for.
/// Resource names: kernels/ARCH/FILE, ARCH one of sm_80, sm_90a, compute_80 (PTX); kernels/index says which file holds
/// a kernel. Another
/// assembly's kernels are found after <see cref="Include"/>.</summary>
sealed class KernelModules(IModuleLoader loader, DeviceInfo info) : IDisposable
{
    const int SharedWithoutAsking = 48 << 10;

    readonly Dictionary<string, nint> modules = [];
    readonly Dictionary<nint, int> allowed = [];        // bytes by function: all who ask for a kernel get the same one
    static readonly Dictionary<string, (Assembly Holder, string File)> files =
        ReadIndex(Assembly.GetExecutingAssembly());

    /// <summary>Whether this build holds kernels for a GPU.</summary>
    public static bool Embedded => files.Count > 0;

    public const string HowToEmbed =
        "this build holds no CUDA kernels: install the compiler with build/install-nvcc.sh and build again";

    /// <summary>Adds the kernels that another assembly embeds, under the same resource names. Before a device is
    /// opened.</summary>
    public static void Include(Assembly holder)
    {
        foreach (var (kernel, place) in ReadIndex(holder)) files[kernel] = place;
    }

    static Dictionary<string, (Assembly Holder, string File)> ReadIndex(Assembly holder)
    {
        using var stream = holder.GetManifestResourceStream("kernels/index");
        if (stream is null) return [];
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Trim().Split(' ')).ToDictionary(pair => pair[0], pair => (holder, pair[1]));
    }

    /// <summary>A kernel, prepared for that much dynamic shared memory, and for what was asked for before.</summary>
    public KernelFunction Get(string kernel, int sharedBytes)
    {
        if (sharedBytes > info.SharedBytesPerBlock)
            throw new SaeException($"kernel {kernel} needs {sharedBytes} bytes of shared memory, {info.Name} gives a "
                + $"block {info.SharedBytesPerBlock}");
        var (holder, file) = (Assembly.GetExecutingAssembly(), kernel);
        if (!info.Emulated)
            (holder, file) = files.TryGetValue(kernel, out var place) ? place
                : throw new SaeException(Embedded ? $"no kernel {kernel} in this build" : HowToEmbed,
                    kind: SaeErrorKind.Device);
        if (!modules.TryGetValue(file, out var module))
            modules[file] = module = loader.LoadModule(info.Emulated ? [0] : Image(holder, file), file);
        var function = loader.FindFunction(module, kernel);
        if (sharedBytes > allowed.GetValueOrDefault(function, SharedWithoutAsking))
        {
            loader.AllowShared(function, sharedBytes, kernel);
            allowed[function] = sharedBytes;
        }
        return new(kernel, function, sharedBytes);
    }

    /// <summary>Loads the engine's modules that this build holds for the device. Of PTX, which the driver translates
    /// when it is loaded,
    /// only the first.</summary>
    /// <exception cref="SaeException">The build has none for this device, or the driver refuses one.</exception>
    public void LoadAll()
    {
        if (info.Emulated)      // it has all kernels in it
        {
            modules[Any] = loader.LoadModule([0], Any);
            return;
        }
        if (!Embedded) throw new SaeException(HowToEmbed, kind: SaeErrorKind.Device);
        var own = Assembly.GetExecutingAssembly();
        foreach (var file in files.Values.Where(f => f.Holder == own).Select(f => f.File).Distinct())
        {
            if (modules.ContainsKey(file) || Find(own, file) is not { } image) continue;
            modules[file] = loader.LoadModule(image.Bytes, file);
            if (image.Translated) break;
        }
        if (modules.Count == 0) throw Missing("any file");
    }

    byte[] Image(Assembly holder, string file) => Find(holder, file)?.Bytes ?? throw Missing($"kernels/{file}.cu");

    /// <summary>The machine code for this architecture, or PTX that the driver translates; null where the build holds
    /// neither. Compute
    /// capability 9.0 takes no PTX: that of compute_80 has no wait for the kernel before it, which a programmatic
    /// launch relies
    /// on.</summary>
    (byte[] Bytes, bool Translated)? Find(Assembly holder, string file)
    {
        foreach (var choice in Choices)
        {
            using var stream = holder.GetManifestResourceStream($"kernels/{choice}/{file}");
            if (stream is null) continue;
            var image = new byte[stream.Length + 1];        // PTX is text and ends with a zero
            stream.ReadExactly(image, 0, (int)stream.Length);
            return (image, choice == Ptx);
        }
        return null;
    }

    const string Ptx = "compute_80", Any = "prepare";

    /// <exception cref="SaeException">No kernel of this engine runs on a device as old as this one.</exception>
    public void RequireArchitecture()
    {
        if (!info.Emulated) _ = Choices;
    }

    string[] Choices => (info.Major, info.Minor) switch
    {
        (9, 0) => ["sm_90a"],
        (8, _) => ["sm_80", Ptx],
        ( > 8, _) => [Ptx],
        _ => throw new SaeException($"{info.Name} has compute capability {info.Major}.{info.Minor}; "
            + "8.0 or newer is needed", kind: SaeErrorKind.Device),
    };

    SaeException Missing(string of)
    {
        var missing = $"this build holds no {string.Join(" or ", Choices)} image of {of}: "
            + "build again with nvcc present";
        return new(Embedded ? missing : HowToEmbed, kind: SaeErrorKind.Device);
    }

    public void Dispose()
    {
        foreach (var module in modules.Values) loader.UnloadModule(module);
        modules.Clear();
        allowed.Clear();
    }
}
