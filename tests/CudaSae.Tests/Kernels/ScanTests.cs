using CudaSae.Devices.Params;

namespace CudaSae.Tests;

/// <summary>Runs scan.cu on the emulator against a loop. Lengths are near a tile of 2048 and near the 256 tiles that
/// the last block sums at a time. Each runs twice, so that the second run starts from the values that the first one
/// left.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public sealed unsafe class ScanTests
{
    [Theory]
    [InlineData(1, 0), InlineData(2047, 1), InlineData(2048, 2), InlineData(2049, 3),
        InlineData(6 * 2048 + 5, 20261121), InlineData(257 * 2048 + 1, 4)]
    public void ScansAreExclusiveSums(int length, ulong seed)
    {
        Assert.SkipUnless(Targets.HasEmulator, "no emulator");
        Targets.Emulator.SetSeed(seed);
        using var device = Targets.OpenEmulator();
        var stream = device.CreateStream();
        int tiles = (length + 2047) / 2048;
        ulong input = device.Allocate(8L * length), sums = device.Allocate(8L * tiles), ticket = device.Allocate(4),
            output = device.Allocate(8L * (length + 1));
        var parameters = new ScanParams
        {
            Input = input, TileSums = sums, Ticket = ticket, Output = output, Length = length, Tiles = tiles
        };
        device.Fill32(ticket, 0, 1, stream);
        var random = new Random(5);
        for (var repeat = 0; repeat < 2; repeat++)
        {
            var numbers = new ulong[length];
            var result = new ulong[length + 1];
            // sums wrap: all 64 bits are compared
            foreach (ref var number in numbers.AsSpan()) number = (ulong)random.NextInt64();
            fixed (ulong* from = numbers, to = result)
            {
                device.CopyToDevice(input, from, 8L * length, stream);
                foreach (var name in (string[])["scan_tiles", "scan_apply"])
                    device.Launch(device.GetKernel(name, 72), new(tiles, 256, 72), parameters, stream);
                device.CopyToHost(to, output, 8L * (length + 1), stream);
                device.Synchronize(stream);
            }
            var before = 0ul;
            for (var i = 0; i <= length; before += i < length ? numbers[i] : 0, i++)
                if (result[i] != before)
                    Assert.Fail($"run {repeat}: the sum before {i} of {length} is {result[i]}, not {before}");
        }
        foreach (var pointer in (ulong[])[input, sums, ticket, output]) device.Free(pointer);
        device.DestroyStream(stream);
    }
}
