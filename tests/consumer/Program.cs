using CudaSae;
using CudaSae.Model;

var (spec, config) = Preset.Named("topk").Make(64, 512, 8, new() { BatchRows = 256, Vectors = 256 * 200 });
using var trainer = new SaeTrainer(spec, config);
for (var step = 0; step < 200; step++) trainer.Step(Activations(256)); // float[256 * 64], from wherever they come
Console.WriteLine($"FVU {trainer.Metrics().Fvu:0.000} on {trainer.Description}");
using (var trained = trainer.Model()) trained.Save("sae"); // in SAELens' layout; Save("sae", "sparsify") in another

using var sae = Sae.Load("sae");
var codes = new SparseRows();
sae.Encode(Activations(3), codes);
for (var row = 0; row < codes.Rows; row++)
    Console.WriteLine($"row {row}: latents {string.Join(", ", codes.Indices(row).ToArray())}");

// Rows with six of 128 hidden features each.
float[] Activations(int rows)
{
    var x = new float[rows * 64];
    for (var row = 0; row < rows; row++)
        for (var i = 0; i < 6; i++)
        {
            var (feature, strength) = (new Random(Random.Shared.Next(128)), Random.Shared.NextSingle());
            for (var j = 0; j < 64; j++) x[row * 64 + j] += strength * (feature.NextSingle() - 0.5f);
        }
    return x;
}
