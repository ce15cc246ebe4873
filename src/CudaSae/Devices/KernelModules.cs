using System.Reflection;

namespace CudaSae.Devices;

/// <summary>The functions of a launcher that load modules.</summary>
interface IModuleLoader
{
    /// <summary>Loads a module.</summary>
    /// <param name="image">Machine code, or PTX, which ends with a zero byte.</param>
    /// <param name="file">Name of the file in kernels/, without .cu, for messages.</param>
    nint LoadModule(byte[] image, string file);
    nint FindFunction(nint module, string kernel);

    /// <summary>Allows a function more dynamic shared memory than the default.</summary>
    void AllowShared(nint function, int bytes, string kernel);
    void UnloadModule(nint module);
}

/// <summary>The embedded kernels: one module for each .cu file and architecture, loaded when one of its kernels is
/// first requested. Resources are named kernels/ARCH/FILE, where ARCH is sm_80, sm_90a or compute_80 (PTX);
/// kernels/index lists the file of each kernel. <see cref="Include"/> adds the kernels of another assembly.</summary>
sealed class KernelModules(IModuleLoader loader, DeviceInfo info) : IDisposable
{
    const int SharedWithoutAsking = 48 << 10;

    readonly Dictionary<string, nint> modules = [];
    readonly Dictionary<nint, int> allowed = [];        // bytes by function; all users of a kernel share the function
    static readonly Dictionary<string, (Assembly Holder, string File)> files =
        ReadIndex(Assembly.GetExecutingAssembly());

    /// <summary>Whether this build contains kernels for a GPU.</summary>
    public static bool Embedded => files.Count > 0;

    public const string HowToEmbed =
        "this build holds no CUDA kernels: install the compiler with build/install-nvcc.sh and build again";

    /// <summary>Adds the kernels that another assembly embeds under the same resource names. Call it before a device is
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

    /// <summary>Returns a kernel that is prepared for the given dynamic shared memory, and for any larger amount
    /// requested before.</summary>
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

    /// <summary>Loads the engine's modules for the device. If they are PTX, which the driver translates when it is
    /// loaded, only the first module is loaded.</summary>
    /// <exception cref="SaeException">The build has no module for this device, or the driver refuses one.</exception>
    public void LoadAll()
    {
        if (info.Emulated)      // its library contains all kernels
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

    /// <summary>Returns the machine code for this architecture, or PTX that the driver translates; null if the build
    /// has neither. Compute capability 9.0 does not use PTX: the PTX of compute_80 lacks the wait for the preceding
    /// kernel, which programmatic launches require.</summary>
    (byte[] Bytes, bool Translated)? Find(Assembly holder, string file)
    {
        foreach (var choice in Choices)
        {
            using var stream = holder.GetManifestResourceStream($"kernels/{choice}/{file}");
            if (stream is null) continue;
            var image = new byte[stream.Length + 1];        // PTX is text that ends with a zero byte
            stream.ReadExactly(image, 0, (int)stream.Length);
            return (image, choice == Ptx);
        }
        return null;
    }

    const string Ptx = "compute_80", Any = "prepare";

    /// <summary>Refuses a device that is too old for all kernels.</summary>
    /// <exception cref="SaeException">The compute capability is below 8.0.</exception>
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
