using System.Reflection;
using System.Text;

namespace CudaSae.Devices;

/// <summary>The kernels that the build embedded: one module a .cu file and architecture, loaded when a kernel of it is first asked for.
/// Resource names: kernels/ARCH/FILE, ARCH one of sm_80, sm_90a, compute_80 (PTX); kernels/index says which file holds a kernel.</summary>
sealed unsafe class KernelModules(CudaDriver driver, DeviceInfo info) : IDisposable
{
    readonly Dictionary<string, nint> modules = [];
    static readonly Dictionary<string, string> files = ReadIndex();

    /// <summary>Whether this build holds kernels for a GPU.</summary>
    public static bool Embedded => files.Count > 0;

    public const string HowToEmbed = "this build holds no CUDA kernels: install the compiler with build/install-nvcc.sh and build again";

    static Dictionary<string, string> ReadIndex()
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("kernels/index");
        if (stream is null) return [];
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Trim().Split(' ')).ToDictionary(pair => pair[0], pair => pair[1]);
    }

    public nint Find(string kernel)
    {
        var file = kernel;
        if (!driver.Emulated && !files.TryGetValue(kernel, out file)) throw new SaeException(Embedded ? $"no kernel {kernel} in this build" : HowToEmbed);
        if (!modules.TryGetValue(file!, out var module)) modules[file!] = module = Load(file!);
        nint function;
        fixed (byte* name = Encoding.UTF8.GetBytes(kernel + "\0")) driver.Check(driver.getFunction(&function, module, name), about: $" for kernel {kernel}");
        return function;
    }

    nint Load(string file)
    {
        nint module;
        fixed (byte* image = driver.Emulated ? [0] : Image(file)) driver.Check(driver.loadModule(&module, image, 0, null, null), about: $" for kernels/{file}.cu");
        return module;
    }

    /// <summary>The image made for this very architecture, or PTX that the driver translates.</summary>
    byte[] Image(string file)
    {
        var architecture = (info.Major, info.Minor) switch { (9, 0) => "sm_90a", (8, _) => "sm_80", (< 8, _) => "", _ => "compute_80" };
        if (architecture.Length == 0) throw new SaeException($"{info.Name} has compute capability {info.Major}.{info.Minor}; 8.0 or newer is needed: use --backend cpu");
        foreach (var choice in new[] { architecture, "compute_80" })
        {
            using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"kernels/{choice}/{file}");
            if (stream is null) continue;
            var image = new byte[stream.Length + 1];        // PTX is text and ends with a zero
            stream.ReadExactly(image, 0, (int)stream.Length);
            return image;
        }
        throw new SaeException(HowToEmbed);
    }

    public void Dispose()
    {
        foreach (var module in modules.Values) driver.Check(driver.unloadModule(module));
        modules.Clear();
    }
}
