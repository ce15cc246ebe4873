using System.Runtime.InteropServices;
using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>Runs kernels of tests/faults on the emulated Hopper.</summary>
static unsafe class HopperEmulator
{
    [StructLayout(LayoutKind.Sequential)]
    public struct SmallParams
    {
        public ulong In, Out;
        public int BreakRule;
    }

    // Rows, columns and depth beyond the matrices' ends are in every tile.
    public const int Rows = 100, Columns = 250, Depth = 200, Pitch = 208, SharedBytes = 2 * 40960 + 2048;
    public static readonly (int, int) hopper = (9, 0);

    // Returns the map in the 128 bytes that the driver writes, or the report of a refusal.
    public static string Encode(byte* map, ulong matrix, ulong columns, ulong rows, ulong pitchBytes, uint boxColumns,
        uint boxRows)
    {
        var export = NativeLibrary.GetExport(NativeLibrary.Load(PlantedFaults.Library), "cuTensorMapEncodeTiled");
        var encode =
            (delegate* unmanaged<byte*, uint, uint, ulong, ulong*, ulong*, uint*, uint*, uint, uint, uint, uint,
            int>)export;
        ulong* sizes = stackalloc ulong[] { columns, rows }, pitches = stackalloc ulong[] { pitchBytes };
        uint* box = stackalloc uint[] { boxColumns, boxRows }, steps = stackalloc uint[] { 1, 1 };
        const uint bfloat16 = 9, matrixRank = 2, swizzle128 = 3;
        var error = encode(map, bfloat16, matrixRank, matrix, sizes, pitches, box, steps, 0, swizzle128, 2, 0);
        return error == 0 ? "" : new Emulator(PlantedFaults.Library).Report;
    }

    public static ulong Upload<T>(IDevice device, T[] values, nint stream) where T : unmanaged
    {
        var to = device.Allocate(values.Length * sizeof(T));
        device.Upload<T>(to, values, stream);
        return to;
    }

    // Returns the result of the work, or the report. The device is restored to its previous state.
    public static string OnDevice(ulong seed, (int, int) capability, Action<CudaDevice, nint, Func<ulong, ulong>> work)
    {
        var emulator = new Emulator(PlantedFaults.Library);
        emulator.SetSeed(seed);
        using var device = CudaDevice.OpenEmulator(PlantedFaults.Library, capability);
        var stream = device.CreateStream();
        var owned = new List<ulong>();
        try
        {
            work(device, stream, pointer => { owned.Add(pointer); return pointer; });
            return "";
        }
        catch (CudaException e)
        {
            emulator.Forgive();
            return e.Message;
        }
        finally
        {
            owned.ForEach(device.Free);
            device.DestroyStream(stream);
        }
    }
}
